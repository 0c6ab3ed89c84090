"""How fast a provider may be asked: learned from its refusals, much as TCP learns its own."""

from __future__ import annotations

from optimizer.door.refusals import Refusals

SLOWEST = 0.05  # units a second: refusals at random must not bring a run to a halt
SLACK = 0.05  # seconds that a late request may catch up
RETURN_UNITS = 250.0  # that pass before a refused rate is tried again: fewer than one refusal in a hundred
RETURN_SECONDS = (60.0, 300.0)  # that this may take
OUTGROWN = 1.1  # times the refused rate: the provider allows more than it did
SEARCH_GROWTH, LARGEST_STEP = 0.3, 0.5  # of the rate, each second and at most each answer, while no limit is known
# After a refusal: `DELIVERED` of what was let through, but at least `LEAST` and at most `MOST` of the refused rate.
LEAST, DELIVERED, MOST = 0.5, 0.91, 0.9


class Pace:
    """The rate of requests or tokens, in units a second; unlimited until a limit is learned.

    It takes the time from its caller, in seconds, and never waits by itself.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self._ceiling = self._stated = float("inf")
        self._next = 0.0
        self._begun: float | None = None
        self._accepted = self._since = 0.0  # in all; since the last decrease
        self._changed = self._grown = self._base = 0.0
        self._clean = self._first = False
        self._refusals = Refusals()

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

    def state(self, per_second: float) -> None:
        """Learn a limit that the provider states."""
        self._stated = per_second * 0.98
        self.rate = min(self.rate or self._stated, self._stated)

    def accepted(self, now: float, sent: float, units: float) -> None:
        """Learn that units sent at a time were let through: the rate grows a little."""
        self._accepted += units
        if self.rate is None:
            return
        if sent < self._changed:
            if self._first:
                self.rate = max(self.rate, self._passed())
            return
        self.rate = max(self.rate, min(self._stated, self._grow(self.rate, now)))
        self._refusals.count(self.rate, refused=False)
        self._clean, self._grown = True, now
        self._since += units
        if self.rate > OUTGROWN * self._ceiling:
            self._ceiling = float("inf")

    def refused(self, now: float, sent: float) -> None:
        """Learn that a unit sent then was refused; one decrease for all that were in the air, none for chance."""
        if self.rate is not None and (sent < self._changed or self._is_chance(self.rate)):
            return
        self._first = self.rate is None
        rate, since, self._changed, self._grown = self.rate, self._changed, now, now
        if rate is None:
            # What was let through in a burst says little: from here the rate is searched for.
            rate = self._passed()
        else:
            delivered = self._since / max(now - since, 1e-3)
            self._refusals.decreased(rate, delivered)
            if self._clean:
                self._ceiling, rate = rate, min(MOST * rate, max(LEAST * rate, DELIVERED * delivered))
            else:
                # Nothing got through at this rate. That may be an outage, which says little about the limit.
                self._ceiling = float("inf")
                rate *= LEAST
        self.rate = self._base = max(rate, SLOWEST)
        self._clean, self._since = False, 0.0
        self._next = max(self._next, now + 1 / self.rate)

    def _is_chance(self, rate: float) -> bool:
        self._refusals.count(rate, refused=True)
        if not self._refusals.by_chance(rate):
            return False
        if self._refusals.known and self._refusals.is_below(rate):
            self._ceiling = float("inf")  # a random refusal must have set it
        return True

    def _passed(self) -> float:
        """Return the units a second that were let through before the first refusal, as far as is known now."""
        begun = self._changed if self._begun is None else self._begun
        return max(self._accepted, 1.0) / max(1.0, self._changed - begun)

    def _grow(self, rate: float, now: float) -> float:
        if self._ceiling == float("inf"):
            return rate * (1 + min(LARGEST_STEP, SEARCH_GROWTH * (now - self._grown)))
        # The curve of CUBIC (RFC 9438): a plateau at the refused rate, then faster and faster.
        shortest, longest = RETURN_SECONDS
        period = min(longest, max(shortest, RETURN_UNITS / self._ceiling))
        return self._ceiling + (self._ceiling - self._base) * ((now - self._changed) / period - 1) ** 3
