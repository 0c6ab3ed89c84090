"""Would a slow start spare a sweep its first refusals, and what would it cost? In simulated time, nothing is asked.

`python experiments/sweep/slow_start.py` lets four cells with 16 calls in flight each, begun two seconds apart, ask one
provider: as `optimizer/door/pace.py` does now, and from 2, 4 or 16 calls a second on, doubling until the first refusal,
after which the rate is what was let through until then.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable

from optimizer.door.connection import FIRST_WAIT, LONGEST_WAIT
from optimizer.door.pace import Pace
from optimizer.testing.faults import Quota

CALLS, FLIGHT, CELL, STAGGER, SEEDS = 800, 64, 16, 2.0, 4
Admits = Callable[[], bool]


class Slow(Pace):
    """Begins at a rate, which doubles as long as nothing is refused."""

    def __init__(self, first: float | None) -> None:
        super().__init__()
        self.rate, self._slow = first, first is not None

    def _decide(self, now: float) -> None:
        if self._slow and self._since.refused:
            self._slow = False
            self._begin(now, self._passed(now))
            self._first = True
            return
        super()._decide(now)
        self._slow &= self.rate is not None


def simulate(
    first: float | None, admits: Callable[[Callable[[], float]], Admits], latency: float, seed: int
) -> tuple[float, float]:
    """Return the share of requests that were refused, and the seconds until all calls were answered."""
    dice, now, pace, order = random.Random(seed), [0.0], Slow(first), itertools.count()  # noqa: S311
    admit, refused, answered = admits(lambda: now[0]), 0, 0
    queue = [(one // CELL * STAGGER, next(order), "ask", 0.0, 1) for one in range(FLIGHT)]
    while answered < CALLS:
        moment, _, what, sent, attempt = heapq.heappop(queue)
        now[0] = moment
        if what == "ask" and (wait := pace.wait(moment)) > 0:
            later = (moment + wait + dice.uniform(0, 0.005), next(order), "ask", 0.0, attempt)
        elif what == "ask":
            pace.take(moment, 1)
            ended = moment + dice.uniform(0.8, 1.2) * latency
            later = (ended, next(order), "yes" if admit() else "no", moment, attempt)
        elif what == "yes":
            pace.accepted(moment, sent, 1)
            answered += 1
            later = (moment, next(order), "ask", 0.0, 1)
        else:
            refused += 1
            pace.refused(moment, sent)
            wait = 0.0 if pace.by_chance else dice.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**attempt))
            later = (moment + wait, next(order), "ask", 0.0, attempt + 1)
        heapq.heappush(queue, later)
    return refused / (refused + answered), now[0]


def main() -> None:
    """Print a row for each provider."""

    def limit(per_minute: float) -> Callable[[Callable[[], float]], Admits]:
        return lambda clock: Quota(per_minute, 5, clock).admits

    def chance(share: float) -> Callable[[Callable[[], float]], Admits]:
        dice = random.Random(0)  # noqa: S311
        return lambda clock: lambda: dice.random() >= share

    providers = {"60 a minute": (limit(60), 0.3), "300 a minute": (limit(300), 0.3)}
    providers |= {"no limit, 0.3 s": (chance(0.0), 0.3), "no limit, 2 s": (chance(0.0), 2.0)}
    providers |= {"10 % at random, 0.3 s": (chance(0.1), 0.3)}
    for name, (admits, latency) in providers.items():
        for first in (None, 2.0, 4.0, 16.0):
            runs = [simulate(first, admits, latency, seed) for seed in range(SEEDS)]
            refused, seconds = (sum(values) / SEEDS for values in zip(*runs, strict=True))
            start = "as now" if first is None else f"from {first:g}/s"
            print(f"{name:22} {start:10} {refused:6.1%} refused, {seconds:6.1f} s for {CALLS} calls")


if __name__ == "__main__":
    main()
