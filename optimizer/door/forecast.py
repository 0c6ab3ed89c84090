"""What the test will take, judged by the calls of the search: so much of the budget must be left for it."""

from __future__ import annotations

import math

from optimizer.ledger.calls import CallTag
from optimizer.types import Usage

# Test examples are not the validation's: a tenth more in dollars, a fifth more in time.
DOLLARS_MARGIN, TIME_MARGIN = 1.1, 1.2
# The share of what the test leaves that is kept for the baselines at most: the search comes before them.
BASELINES_SHARE = 0.25


class TestForecast:
    """Dollars and seconds of `calls` test calls, of the seed and of the winner, and of the `baselines` calls.

    The winner takes as many as the seed, for each of up to `prompts` that answer together. A call is expected to cost
    as much as the dearest call of its role so far. The seed's calls are expected to last as long as its calls did on
    average, the others as long as those of the slowest trial. The baselines get at most a quarter of what the test
    leaves. A share of the calls, `judging`, are a judge's.
    """

    __test__ = False  # not a test, whatever pytest makes of its name

    def __init__(
        self, calls: int = 0, concurrency: int = 1, baselines: int = 0, prompts: int = 1, judging: float = 0.0
    ) -> None:
        self._calls, self._concurrency, self._baselines, self._prompts = calls, concurrency, baselines, prompts
        self._shares = {"task": 1 - judging, "judge": judging}
        self._dearest: dict[str, float] = {}
        self._share: dict[str, float] = {}
        self._largest = 0.0
        self._times: dict[int, tuple[int, float]] = {}

    @property
    def blind(self) -> bool:
        """Whether there is a test to forecast and no call yet to judge it by."""
        return self._calls > 0 and "task" not in self._dearest

    def learn(self, tag: CallTag, held: Usage, paid: Usage, seconds: float) -> None:
        """Learn from an answered call; the test makes no calls of the prompt model."""
        if tag.role == "prompt":
            return
        self._dearest[tag.role] = max(self._dearest.get(tag.role, 0.0), paid.usd)
        self._largest = max(self._largest, held.usd)
        if held.usd:
            self._share[tag.role] = max(self._share.get(tag.role, 0.0), paid.usd / held.usd)
        if tag.phase == "search" and tag.trial is not None:
            count, total = self._times.get(tag.trial, (0, 0.0))
            self._times[tag.trial] = (count + 1, total + seconds)

    def dollars(self, tag: CallTag, most: Usage, limit: float) -> float:
        """Return what to keep of the `limit` for the test if a call that may cost `most` goes ahead.

        A prompt dearer than any so far may become the winner, so its expected cost counts before it is paid.
        """
        if not self._calls:
            return 0.0
        dearest, largest = dict(self._dearest), self._largest
        if tag.role != "prompt":
            dearest[tag.role] = max(dearest.get(tag.role, 0.0), self._share.get(tag.role, 0.0) * most.usd)
            largest = max(largest, most.usd)
        # The last call of the test is reserved by its worst case like any other.
        each = DOLLARS_MARGIN * sum(self._shares[role] * usd for role, usd in dearest.items())
        test = self._calls * each + largest
        return test + min(self._baselines * each, max(0.0, limit - test) * BASELINES_SHARE)

    def seconds(self, limit: float) -> float:
        """Return the time to keep of the `limit` for the test, and for the calls in flight to end before it."""
        if not self._calls or not self._times:
            return 0.0
        means = [total / count for count, total in self._times.values()]
        first = self._times.get(0)
        seed = max(means) if first is None else first[1] / first[0]
        once = math.ceil(self._calls / (1 + self._prompts) / self._concurrency)
        passes = once * (seed + self._prompts * max(means))
        baselines = math.ceil(self._baselines / self._concurrency) * max(means)
        test = TIME_MARGIN * passes + self.in_flight()
        return test + min(TIME_MARGIN * baselines, max(0.0, limit - test) * BASELINES_SHARE)

    def in_flight(self) -> float:
        """Return how long a call of the search may still take when its time is up."""
        return 2 * max((total / count for count, total in self._times.values()), default=0.0)
