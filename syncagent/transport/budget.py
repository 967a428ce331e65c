"""
What retries may cost: while a server is down, each request to it is sent once, not three times.

A bucket of tokens for each origin and model: a retry takes 14, a success gives one back, and a success after
retries what the last of them took. These are the figures of botocore's retry quota
(https://boto3.amazonaws.com/v1/documentation/api/latest/guide/retries.html).
"""

from __future__ import annotations

from collections import deque

from ..processes import PerProcess

__all__ = ["Budget", "budget_for", "reward"]

_RETRY = 14
_MOST_BUDGETS = 1000


class Budget:
    """
    The tokens of one origin and model. No lock: a deque that is full stays full, and gives each token once.

    Args:
        size: tokens at the start, and at most.
    """

    __slots__ = ("_tokens",)

    def __init__(self, size: int) -> None:
        self._tokens: deque[None] = deque([None] * size, size)

    def __len__(self) -> int:
        return len(self._tokens)

    def take(self) -> bool:
        """Take what a retry costs; False where there is not enough."""
        tokens = self._tokens
        for taken in range(_RETRY):
            try:
                tokens.pop()
            except IndexError:
                self.give(taken)
                return False
        return True

    def give(self, tokens: int = _RETRY) -> None:
        """Give tokens back, by default those of a retry."""
        self._tokens.extend([None] * tokens)


def budget_for(url: str, model_name: str, size: int) -> Budget:
    """The bucket of this process for the origin of *url* and *model_name*; a forked child begins with full ones."""
    budgets = _budgets.get()
    key = (url[: url.find("/", 8)], model_name, size)
    found = budgets.get(key)
    if found is None:
        if len(budgets) >= _MOST_BUDGETS:
            budgets.clear()
        found = budgets.setdefault(key, Budget(size))
    return found


def reward(url: str, model_name: str, size: int) -> None:
    """Give one token back for a success without retries; does nothing where no retry was ever made."""
    if _budgets.made[1]:
        found = _budgets.get().get((url[: url.find("/", 8)], model_name, size))
        if found is not None and len(found) < size:
            found.give(1)


_budgets: PerProcess[dict[tuple[str, str, int], Budget]] = PerProcess(dict)
