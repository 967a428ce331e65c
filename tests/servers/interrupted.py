"""
A child that is interrupted: for each place read from standard input it goes there, and says how it got out.

    python -m tests.servers.interrupted URL SECURE_URL CERTIFICATE
"""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any

from tests.servers.places import Places, open_sockets


def say(**said: Any) -> None:
    """A line for the test."""
    print(json.dumps(said), flush=True)


def leave(number: int, frame: object) -> None:
    """What gunicorn's workers and many programs do on SIGTERM."""
    raise SystemExit(3)


def main() -> None:
    # A shell without job control lets its background jobs ignore SIGINT, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, leave)
    url, secure, bundle = sys.argv[1:]
    places = Places(url, secure, bundle, lambda place: say(arrived=place))
    places.agent.run_sync("say warm")
    say(ready=True)
    for line in sys.stdin:
        place = line.strip()
        places.prepare(place)
        before, error = open_sockets(), ""
        try:
            places.stay(place)
        except (KeyboardInterrupt, SystemExit) as caught:
            error, left = repr(caught), time.monotonic()
        more = open_sockets() - before  # fewer where a connection that had been kept was used, and is gone
        say(error=error, left=left, more=more, after=places.say(place, "after"))


main()
