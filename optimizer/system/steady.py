"""The time of day, as a clock that nobody sets: the wall clock of the process's start, and the seconds since."""

from __future__ import annotations

import time

_offset = time.time() - time.monotonic()


def now() -> float:
    """Return seconds since 1970; the wall clock, set back or forth while the process runs, does not change it."""
    return time.monotonic() + _offset


def not_before(moment: float) -> None:
    """Let the clock show at least a moment: the wall clock was set back since an earlier process read it."""
    global _offset
    _offset += max(0.0, moment - now())
