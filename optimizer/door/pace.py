"""How fast a provider may be asked: learned from its refusals by additive increase, multiplicative decrease."""

from __future__ import annotations

SLOWEST = 0.05  # units a second: refusals at random must not bring a run to a halt
SLACK = 0.05  # seconds that a late request may catch up
SETTLED = 0.9  # the share of a refused rate that is gone back to at once
GROWTH = 0.001  # of the refused rate, each second: beyond what was refused, one refusal in minutes
OUTGROWN = 1.1  # times the refused rate: the provider allows more than it did
SEARCH_GROWTH = 0.3  # of the rate, each second, while no refused rate is known
LONGEST_STEP = 0.3  # seconds of growth for one answer: a slow rate is judged by its answers, not by the clock
SEARCHING, BRACKETED = 0.5, 0.9


class Pace:
    """The rate of requests or tokens, in units a second; unlimited until a limit is learned.

    It takes the time from its caller, in seconds, and never waits by itself.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self._ceiling = self._told = float("inf")
        self._next = 0.0
        self._begun: float | None = None
        self._accepted = 0.0
        self._changed = self._grown = 0.0
        self._clean = False

    def wait(self, now: float) -> float:
        """Return the seconds until the next unit may be used."""
        return max(0.0, self._next - now)

    def take(self, now: float, units: float) -> None:
        """Use units; what comes after them waits its time."""
        self._begun = now if self._begun is None else self._begun
        if self.rate is not None:
            self._next = max(self._next, now - SLACK) + units / self.rate

    def give_back(self, units: float) -> None:
        """Return units that were taken and not used."""
        if self.rate is not None:
            self._next -= units / self.rate

    def told(self, per_second: float) -> None:
        """Learn a limit that the provider states."""
        self._told = per_second * 0.98
        self.rate = min(self.rate or self._told, self._told)

    def accepted(self, now: float, sent: float, units: float) -> None:
        """Learn that units sent at a time were let through: the rate grows a little."""
        self._accepted += units
        if self.rate is None or sent < self._changed:
            return
        if self.rate > OUTGROWN * self._ceiling:
            self._ceiling = float("inf")
        if self._ceiling == float("inf"):
            self.rate = min(self._told, self.rate * (1 + SEARCH_GROWTH * min(LONGEST_STEP, now - self._grown)))
            self._clean = True
        elif not self._clean:
            # The first unit since the decrease got through: the limit lies between this rate and the refused one.
            self._clean = True
            self.rate = max(self.rate, SETTLED * min(self._ceiling, self._told))
        else:
            self.rate = min(self._told, self.rate + GROWTH * self._ceiling * (now - self._grown))
        self._grown = now

    def refused(self, now: float, sent: float) -> None:
        """Learn that a unit sent then was too many; one decrease for all that were in the air."""
        if self.rate is not None and sent < self._changed:
            return
        if self.rate is None:
            # What was let through in a burst says little: from here the rate is searched for.
            self.rate = max(self._accepted, 1.0) / max(1.0, now - (now if self._begun is None else self._begun))
        else:
            bracketed = self._clean and self._ceiling < float("inf")
            self._ceiling = self.rate
            self.rate *= BRACKETED if bracketed else SEARCHING
        self.rate = max(self.rate, SLOWEST)
        self._changed = self._grown = now
        self._clean = False
        self._next = max(self._next, now + 1 / self.rate)
