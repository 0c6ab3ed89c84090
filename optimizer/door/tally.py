"""What became of the calls since the pace changed: how many were refused, and how fast they were let through."""

from __future__ import annotations

import math
from collections import deque

REMEMBERED = 200  # calls of which the share of refusals is taken; twice as many are halved, so that old ones fade
RECENT = 12  # calls of which the rate is taken, likewise
SIGMAS = 2.5  # of the number of refusals, before they are more than chance whose share is known
LIKE = 2.0  # standard deviations between two shares that may be the same
LONGEST_GAP = 1.0  # seconds between two calls; a longer one is a pause of the run's own


class Tally:
    """Counts the calls that are decided: those sent no later than one that was answered. Times are in seconds.

    A refusal comes sooner than an answer. A call that is in the air while a later one is refused was let through,
    and counts as such: where answers are slow, refusals would seem to be all there is.
    """

    def __init__(self, begun: float, gap: float = 0.0) -> None:
        """`gap` is the time between two calls at the pace that is kept, where it is known."""
        self.calls = self.refused = 0.0
        self.age = 0.0  # seconds in which calls were made
        self.held = False  # whether a call had to wait for its turn: a rate that holds nobody back says nothing
        self._lately = self._passed = self._seconds = 0.0  # the last calls, those let through, the time they took
        self._undecided: deque[float] = deque()
        self._last, self._longest = begun, max(LONGEST_GAP, 2 * gap)

    def sent(self, now: float, held: bool) -> None:
        """Learn that a call is sent, and whether it had to wait for its turn."""
        self._undecided.append(now)
        self.held |= held

    def answered(self, sent: float, refused: bool) -> None:
        """Learn how the call that was sent at a time ended."""
        while self._undecided and self._undecided[0] <= sent:
            moment = self._undecided.popleft()
            gap = min(self._longest, moment - self._last)
            self.calls, self._lately, self._passed = self.calls + 1, self._lately + 1, self._passed + 1
            self.age, self._seconds, self._last = self.age + gap, self._seconds + gap, moment
        self.refused += refused
        self._passed -= refused
        if self._lately >= 2 * RECENT:
            self._lately, self._passed, self._seconds = self._lately / 2, self._passed / 2, self._seconds / 2
        if self.calls >= 2 * REMEMBERED:
            self.calls, self.refused = self.calls / 2, self.refused / 2

    @property
    def share(self) -> float:
        """The share of the calls that were refused."""
        return self.refused / self.calls if self.calls else 0.0

    @property
    def share_lately(self) -> float:
        """The share of the last calls that were refused."""
        return 1 - self._passed / self._lately if self._lately else 0.0

    @property
    def asked(self) -> float:
        """The calls a second that were sent lately."""
        return self._lately / max(self._seconds, 1e-3)

    def delivered(self, but: float = 0.0) -> float:
        """Return the calls a second that were let through lately, but for so many that a bucket may have held."""
        return max(0.0, self._passed - but) / max(self._seconds, 1e-3)

    def exceeds(self, chance: Tally | None) -> bool:
        """Tell if more were refused than by chance: its share is known from a tally, or there is no chance."""
        if chance is None:
            return self.refused > 0
        share = chance.share
        variance = share * (1 - share) * (SIGMAS**2 * self.calls + self.calls**2 / chance.calls)
        return self.refused > self.calls * share + math.sqrt(variance)

    def is_like(self, other: Tally) -> bool:
        """Tell if the shares of refusals may be the same."""
        both = self.calls + other.calls
        share = (self.refused + other.refused) / both
        variance = share * (1 - share) * both / (self.calls * other.calls)
        return abs(self.share - other.share) <= LIKE * math.sqrt(variance)
