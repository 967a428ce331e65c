"""
Dates, times and durations out of text and numbers: RFC 3339 and ISO 8601 as far as models write them.

Numbers are seconds since 1970 in UTC; beyond 20,000,000,000 they are milliseconds, as in pydantic
(https://docs.pydantic.dev/latest/api/standard_library_types/#datetime-types).
"""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal
from typing import Any, Optional, Union

from .errors import fail

__all__ = ["parse_date", "parse_datetime", "parse_time", "parse_timedelta"]

_MILLISECONDS_FROM = 2e10
_DAY = 86_400
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)

# A clock with an offset; [0-9], since \d is any digit of Unicode.
_CLOCK = r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?(Z|z|[+-][0-9]{2}:?[0-9]{2})?"
_DATE = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
_DATE_ONLY = re.compile(_DATE)
_DATETIME = re.compile(_DATE + r"[Tt _]" + _CLOCK)
_TIME = re.compile(_CLOCK)
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,20}(?:\.[0-9]*)?|\.[0-9]+)")
_UNITS = "([0-9]+(?:[.,][0-9]+)?)"
_DURATION = re.compile(
    rf"([+-])?P(?:{_UNITS}Y)?(?:{_UNITS}M)?(?:{_UNITS}W)?(?:{_UNITS}D)?"
    rf"(?:T(?:{_UNITS}H)?(?:{_UNITS}M)?(?:{_UNITS}S)?)?"
)
_DURATION_SECONDS = (365 * _DAY, 30 * _DAY, 7 * _DAY, _DAY, 3_600, 60, 1)
_DAYS_AND_CLOCK = re.compile(
    r"([+-])?(?:([0-9]{1,9}) ?d(?:ays?)?,?(?: |$))?"
    r"(?:([0-9]{2}(?=:[0-9]{2}$)|[0-9]{1,9}(?=:[0-9]{2}:)):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?)?",
    re.IGNORECASE,
)


def parse_date(value: Any) -> dt.date:
    """A date: ``2020-01-31``, a date and time at midnight, or a number that is one."""
    if isinstance(value, dt.datetime):
        moment = value
    elif isinstance(value, dt.date):
        return value
    else:
        if isinstance(value, str) and _DATE_ONLY.fullmatch(value):
            return _date(value, "date_from_datetime_parsing")
        moment = _moment(value, "date_type", "date_from_datetime_parsing", "a date like 2020-01-31")
    if moment.time() != dt.time():
        fail("date_from_datetime_inexact", value)
    return moment.date()


def parse_datetime(value: Any) -> dt.datetime:
    """A date and time, with an offset or without; a date is its midnight, a number is in UTC."""
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day)
    kind = "datetime_from_date_parsing"
    if isinstance(value, str) and _DATE_ONLY.fullmatch(value):
        date = _date(value, kind)
        return dt.datetime(date.year, date.month, date.day)
    return _moment(value, "datetime_type", kind, "a date and time like 2020-01-31T10:00:00Z")


def parse_time(value: Any) -> dt.time:
    """A time of day like ``10:00:00``; a number is seconds since midnight, in UTC."""
    if isinstance(value, dt.time):
        return value
    if _is_number(value):
        if not 0 <= value < _DAY:
            fail("time_parsing", value, error="a number of seconds lies between 0 and 86,399")
        return (_EPOCH + dt.timedelta(seconds=value)).timetz()
    if not isinstance(value, str):
        fail("time_type", value)
    found = _TIME.fullmatch(value)
    if not found:
        fail("time_parsing", value, error="expected a time like 10:00:00")
    try:
        return _time(found.groups())
    except ValueError as error:
        fail("time_parsing", value, error=str(error))


def parse_timedelta(value: Any) -> dt.timedelta:
    """A duration: ``P1DT2H``, ``1:00:00``, ``2 days, 1:00:00``, or a number of seconds."""
    if isinstance(value, dt.timedelta):
        return value
    if _is_number(value):
        return _duration(value, value)
    if not isinstance(value, str):
        fail("time_delta_type", value)
    found = _DURATION.fullmatch(value)
    if found and any(found.groups()[1:]):
        sign, *parts = found.groups()
        # Decimal, not float: a day and a millionth of a second is exactly that.
        numbers = [Decimal(part.replace(",", ".")) if part else Decimal(0) for part in parts]
        total = sum(number * unit for number, unit in zip(numbers, _DURATION_SECONDS))
        return _duration(-total if sign == "-" else total, value)
    found = _DAYS_AND_CLOCK.fullmatch(value)
    if not (found and (found[2] or found[3])):
        fail("time_delta_parsing", value, error="expected a duration like P1DT2H or 26:00:00")
    sign, days, hours, minutes, seconds, fraction = found.groups()
    if int(minutes or 0) > 59 or int(seconds or 0) > 59:
        fail("time_delta_parsing", value, error="minutes and seconds lie between 0 and 59")
    clock = int(hours or 0) * 3_600 + int(minutes or 0) * 60 + int(seconds or 0)
    length = _duration(int(days or 0) * _DAY + clock, value) + dt.timedelta(microseconds=_microseconds(fraction))
    return -length if sign == "-" else length


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _date(text: str, kind: str) -> dt.date:
    try:
        return dt.date(int(text[:4]), int(text[5:7]), int(text[8:]))
    except ValueError as error:
        fail(kind, text, error=str(error))


def _moment(value: Any, wrong_type: str, kind: str, expected: str) -> dt.datetime:
    if isinstance(value, str):
        found = _DATETIME.fullmatch(value)
        if not found:
            if _NUMBER.fullmatch(value):
                return _from_timestamp(float(value), value, kind)
            fail(kind, value, error=f"expected {expected}")
        year, month, day, *clock = found.groups()
        try:
            return dt.datetime.combine(dt.date(int(year), int(month), int(day)), _time(clock))
        except ValueError as error:
            fail(kind, value, error=str(error))
    if not _is_number(value):
        fail(wrong_type, value)
    return _from_timestamp(value, value, kind)


def _from_timestamp(number: Union[int, float], value: Any, kind: str) -> dt.datetime:
    try:
        if abs(number) > _MILLISECONDS_FROM:
            return _EPOCH + dt.timedelta(milliseconds=number)  # a division before would lose the last of them
        return _EPOCH + dt.timedelta(seconds=number)
    except (OverflowError, ValueError):  # too large, infinite or no number
        fail(kind, value, error="the number of seconds lies outside the years 1 to 9999")


def _time(groups: Any) -> dt.time:
    hour, minute, second, fraction, offset = groups
    return dt.time(int(hour), int(minute), int(second or 0), _microseconds(fraction), _zone(offset))


def _microseconds(fraction: Optional[str]) -> int:
    return int(fraction[:6].ljust(6, "0")) if fraction else 0


def _zone(offset: Optional[str]) -> Optional[dt.timezone]:
    if offset is None:
        return None
    if offset in "Zz":
        return dt.timezone.utc
    minutes = int(offset[1:3]) * 60 + int(offset[-2:])
    return dt.timezone(dt.timedelta(minutes=-minutes if offset[0] == "-" else minutes)) if minutes else dt.timezone.utc


def _duration(seconds: Union[int, float, Decimal], value: Any) -> dt.timedelta:
    try:
        if not math.isfinite(seconds):
            raise OverflowError
        if isinstance(seconds, Decimal):
            return dt.timedelta(microseconds=round(seconds * 1_000_000))
        return dt.timedelta(seconds=seconds)
    except OverflowError:
        fail("time_delta_parsing", value, error="a duration has 999,999,999 days at most")
