"""The time of day, as a clock that nobody sets: the wall clock of its start, and the seconds since."""

from __future__ import annotations

import time


class SteadyClock:
    """Shows seconds since 1970; the wall clock, set back or forth while it runs, does not change it.

    Each open ledger has one of its own: what one run has to catch up with is no other run's time.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Return seconds since 1970."""
        return time.monotonic() + self._offset

    def not_before(self, moment: float) -> None:
        """Let it show at least a moment: the wall clock was set back since an earlier process read it."""
        self._offset += max(0.0, moment - self.now())
