"""How fast a provider may be asked: a controller whose fixed point is the rate that the provider delivers."""

from __future__ import annotations

from optimizer.door.tally import Tally

SLOWEST = 0.05  # calls a second: an outage must not bring a run to a halt
SLACK = 0.05  # seconds that a late call may catch up
FIRST = 50.0  # calls a second after the first refusal: enough to learn within a second what it means
HOPE, ENOUGH = 6, 10  # calls that tell that a rate is far too high; that tell a rate
SHORT = 8  # a measurement so much shorter than what was seen since tells little
LONG = 0.25  # seconds in which a rate can be measured: in a shorter time a bucket may be emptied
SHOWN = 3  # refusals that tell a share
HOPELESS, LEAST = 0.75, 0.5  # from this share of refusals on the rate is far too high: so much of it is kept
TRIED = 0.93  # of the delivered rate: what is tried next
EXPLAINED = 0.95  # of the delivered rate: no limit explains a refusal below it
RARE = 0.15  # share of refusals below which the refused rate was about right
ABOVE = 1.05  # times the delivered rate: where the limit is looked for, if few were refused
NEAR, CLOSE = 0.95, 0.75  # of the refused rate: where it is looked for at least; what is tried next at least
DOUBLING = 2.0  # the growth over ENOUGH calls while no limit is known
RETURN_CALLS = 250.0  # that pass before a refused rate is tried again: fewer than one refusal in a hundred
RETURN_SECONDS = (60.0, 300.0)  # that this may take
OUTGROWN = 1.1  # times the refused rate: the provider allows more than it did
UNKNOWN = float("inf")


class Pace:
    """The rate of requests or tokens, in units a second; unlimited until a limit is learned.

    A limit refuses nothing below the rate that it delivers. Refusals at random (an overloaded provider, a shared
    key) stay as frequent however slowly it is asked. So the state is three numbers: the rate; the rate that was
    delivered when it was last lowered; and the share of refusals that came below that, which is chance. More
    refusals than by chance lower the rate to just below what was delivered. If they cease there, it is the limit,
    and the curve of CUBIC (RFC 9438) returns to it. If they come as before, they are chance, and the rate doubles
    until their share rises. To lower the rate and look whether the share falls is the experiment of PCC (Dong et
    al. 2015, NSDI); to keep to the delivered rate is BBR's (Cardwell et al. 2016, CACM 60(2)).

    It takes the time from its caller, in seconds, and never waits by itself.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self._ceiling = self._stated = UNKNOWN
        self._next = 0.0
        self._begun: float | None = None
        self._calls = self._taken = self._accepted = 0.0  # in all; calls, units
        self._changed = self._base = 0.0
        self._first = False  # whether the last change was the first
        self._since = Tally(0.0)
        self._before: Tally | None = None  # what was seen before the rate was last lowered
        self._delivered = self._measured = 0.0  # the highest rate let through, and the calls that told it
        self._chance: Tally | None = None  # refusals that no limit explains, once they are shown

    @property
    def by_chance(self) -> bool:
        """Whether refusals are known to come at random: then it is of no use to wait after one."""
        return self._chance is not None

    def wait(self, now: float) -> float:
        """Return the seconds until the next unit may be used."""
        return max(0.0, self._next - now)

    def take(self, now: float, units: float) -> None:
        """Use a call's units; what comes after them waits its time."""
        if self._begun is None:
            self._begun, self._since = now, Tally(now)
        self._calls, self._taken = self._calls + 1, self._taken + units
        self._since.sent(now, held=self.rate is not None and self._next > now - SLACK)
        if self.rate is not None:
            self._next = max(self._next, now - SLACK) + units / self.rate

    def give_back(self, units: float) -> None:
        """Return units that were taken and not used."""
        self._taken -= units
        if self.rate is not None:
            self._next -= units / self.rate

    def state(self, per_second: float) -> None:
        """Learn a limit that the provider states."""
        self._stated = per_second * 0.98
        self.rate = min(self.rate or self._stated, self._stated)

    def accepted(self, now: float, sent: float, units: float) -> None:
        """Learn that units sent at a time were let through."""
        self._accepted += units
        if sent >= self._changed:
            self._since.answered(sent, refused=False)
            self._decide(now)
        elif self._first and self.rate is not None:
            self.rate = max(self.rate, self._passed(self._changed))

    def refused(self, now: float, sent: float) -> None:
        """Learn that a call sent then was refused; one decrease for all that were in the air."""
        if sent >= self._changed:
            self._since.answered(sent, refused=True)
            self._decide(now)

    def _decide(self, now: float) -> None:
        """Lower the rate, keep it or let it grow, by what was answered since it changed."""
        since, rate = self._since, self.rate
        calm = rate is not None and rate < EXPLAINED * self._delivered
        if self._is_hopeless(calm):
            # That may be an outage, which says little about the limit.
            self._ceiling, self._chance, self._delivered = UNKNOWN, None, 0.0
            self._begin(now, LEAST * (rate or since.asked * self._unit()))
        elif not since.exceeds(self._chance):
            self._grow(now, calm)
        elif rate is None and self._chance is None:
            # What was let through in a burst says little: from here the rate is searched for.
            self._begin(now, max(self._passed(now), FIRST * self._unit()))
            self._first = True
        elif since.calls < (ENOUGH if self._chance is None else HOPE) or since.age < LONG:
            return
        elif not calm:
            self._lower(now, anew=self._chance is not None)
        elif since.refused < SHOWN:
            self._grow(now, calm)
        elif since.calls > SHORT * self._measured or (self._before and not since.is_like(self._before)):
            self._lower(now, anew=True)  # the limit has fallen, or was never measured well
        elif since.share <= HOPELESS:
            self._chance, self._ceiling = since, UNKNOWN
            self._begin(now, rate or 0.0)

    def _is_hopeless(self, calm: bool) -> bool:
        """Tell if hardly anything gets through; it takes longer to tell where no limit explains it."""
        since = self._since
        if self.rate is None or calm or self._chance is not None:
            return since.calls >= 2 * ENOUGH and since.share > HOPELESS
        return since.calls >= HOPE and since.share_lately > HOPELESS

    def _lower(self, now: float, anew: bool) -> None:
        """Try a rate just below the delivered one; `anew` where what was known of the provider may hold no more."""
        since, unit = self._since, self._unit()
        rate = self.rate or since.asked * unit
        surely = unit * max((1 - HOPELESS) * since.asked, since.delivered(but=1))
        if anew or surely > self._delivered or since.calls > 2 * self._measured:
            # A longer measurement replaces a shorter one: so seldom that no row of refusals lets the rate slide.
            self._delivered, self._measured = surely, since.calls
        rare, delivered = since.share < RARE, since.delivered() * unit
        self._before, self._chance = since, None
        self._ceiling = min(rate, max(ABOVE * delivered, NEAR * rate)) if rare else rate
        self._begin(now, max(TRIED * min(rate, delivered), CLOSE * rate) if rare else TRIED * min(rate, surely))

    def _begin(self, now: float, rate: float) -> None:
        unit = self._unit()
        self.rate = self._base = min(self._stated, max(rate, SLOWEST * unit))
        self._changed, self._first, self._since = now, False, Tally(now, unit / self.rate)
        self._next = max(self._next, now + unit / self.rate)

    def _grow(self, now: float, calm: bool) -> None:
        since, rate, unit = self._since, self.rate, self._unit()
        if rate is None:
            return
        if self._ceiling == UNKNOWN:
            if since.calls >= ENOUGH and since.age >= LONG and rate < self._stated:
                grown = min(self._stated, DOUBLING * rate)
                self.rate = grown if since.held or self._stated < UNKNOWN else None
                self._changed, self._since = now, Tally(now, unit / rate)
        elif since.held and not (calm and self._tries()):
            # A plateau about the refused rate, then faster and faster.
            known = ENOUGH if self._before is None else self._before.calls
            shortest, longest = RETURN_SECONDS
            period = min(longest, max(shortest, RETURN_CALLS * unit / self._ceiling))
            curve = self._ceiling + (self._ceiling - self._base) * (since.age / period - 1) ** 3
            self.rate = max(rate, min(self._stated, curve, (1 + 1 / known) * rate))
            if self.rate > OUTGROWN * self._ceiling:
                self._ceiling = UNKNOWN

    def _tries(self) -> bool:
        """Tell if it is not known yet whether refusals cease at the rate that is tried."""
        since, before = self._since, 0.0 if self._before is None else self._before.share
        return before >= RARE and since.calls * before < SHOWN + 2 * since.refused

    def _unit(self) -> float:
        """Return the units of a call."""
        return max(self._taken, 1.0) / self._calls if self._calls else 1.0

    def _passed(self, until: float) -> float:
        """Return the units a second that were let through before the first refusal."""
        begun = until if self._begun is None else self._begun
        return max(self._accepted, 1.0) / max(1.0, until - begun)
