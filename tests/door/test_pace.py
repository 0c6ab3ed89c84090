"""The pace against simulated providers, in simulated time."""

from __future__ import annotations

import heapq
import itertools
import os
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from optimizer.door.connection import FIRST_WAIT, LONGEST_WAIT
from optimizer.door.pace import FIRST, TRIED, UNKNOWN, Pace
from optimizer.testing.faults import Quota

SEED = int(os.environ.get("METIER_TEST_SEED", "1"))


Refuses = Callable[[int, random.Random], bool]


class Perfect(Pace):
    """Knows that no limit exists: it asks again at once."""

    by_chance = True

    def refused(self, now: float, sent: float) -> None:
        """Learn nothing."""


@dataclass
class Traffic:
    refused: float  # share of the calls
    delivered: float  # a second
    rate: float | None


def every(count: int) -> Refuses:
    return lambda number, dice: number % count == 0


def some(share: float) -> Refuses:
    return lambda number, dice: dice.random() < share


NEVER = every(10**9)


def simulate(
    flight: int,
    until: float,
    *,
    limit: tuple[float, float] = (6e7, 1e6),
    refuses: Refuses = NEVER,
    seconds: tuple[float, float] = (0.1, 0.3),
    since: float = 30.0,
    seed: int = SEED,
    pace: Pace | None = None,
) -> Traffic:
    """Let `flight` callers ask without end for `until` seconds; count what came after `since`.

    limit: calls a minute, and in a burst. refuses: which calls are refused besides, by their number.
    seconds: after which an answer comes, at least and at most; a refusal takes as long.
    Callers wait as a Connection's do.
    """
    dice, now, pace = random.Random(seed), [0.0], pace or Pace()
    quota, number, order = Quota(*limit, lambda: now[0]), itertools.count(1), itertools.count()
    log: list[bool] = []
    queue = [(0.0, next(order), "ask", 0.0, 1) for _ in range(flight)]
    while (event := heapq.heappop(queue))[0] <= until:
        now[0], _, what, sent, attempt = event
        moment = now[0]
        if what == "ask" and (wait := pace.wait(moment)) > 0:
            later = (moment + wait + dice.uniform(0, 0.005), next(order), "ask", 0.0, attempt)
        elif what == "ask":
            pace.take(moment, 1)
            admitted = quota.admits() and not refuses(next(number), dice)
            log += [admitted] * (moment >= since)
            later = (moment + dice.uniform(*seconds), next(order), "yes" if admitted else "no", moment, attempt)
        elif what == "yes":
            pace.accepted(moment, sent, 1)
            later = (moment, next(order), "ask", 0.0, 1)
        else:
            pace.refused(moment, sent)
            wait = 0.0 if pace.by_chance else dice.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**attempt))
            later = (moment + wait, next(order), "ask", 0.0, attempt + 1)
        heapq.heappush(queue, later)
    return Traffic(1 - sum(log) / max(1, len(log)), sum(log) / (until - since), pace.rate)


REFUSALS = {f"every {count}th": every(count) for count in (2, 3, 4, 5, 6, 8, 10, 13, 16, 20)} | {
    f"{percent} % at random": some(percent / 100) for percent in range(5, 55, 5)
}


@pytest.mark.parametrize("flight", [8, 64])
@pytest.mark.parametrize("refuses", REFUSALS.values(), ids=REFUSALS.keys())
def test_refusals_that_no_limit_causes_leave_70_percent_after_10_seconds(refuses: Refuses, flight: int) -> None:
    # Of three beginnings one may be unlucky.
    runs = [simulate(flight, 20, refuses=refuses, since=10, seed=100 * SEED + number) for number in range(3)]
    best = simulate(flight, 20, refuses=refuses, since=10, pace=Perfect())
    assert statistics.median(run.delivered for run in runs) >= 0.7 * best.delivered, f"seed {SEED}: {runs}, {best}"


@pytest.mark.parametrize("refuses", [every(5), some(0.05), some(0.3), some(0.5)])
def test_the_pace_does_not_slide_down(refuses: Refuses) -> None:
    run = simulate(8, 1200, refuses=refuses)
    best = simulate(8, 60, refuses=refuses, pace=Perfect())
    assert run.delivered >= 0.9 * best.delivered, f"seed {SEED}: {run}, {best}"


def test_the_pace_stays_at_what_was_delivered_while_it_looks_for_the_cause() -> None:
    """However long every other call is refused: one lowering of the rate, to what was delivered, tells chance."""
    pace, now, rates = Pace(), 0.0, []
    for number in range(200):
        now += max(0.01, pace.wait(now))
        pace.take(now, 1)
        (pace.accepted if number % 2 else pace.refused)(now + 0.001, now, *[1] * (number % 2))  # type: ignore[operator]
        rates.append(pace.rate or UNKNOWN)
    assert pace.by_chance
    assert min(rates) >= 0.5 * 0.5 * FIRST * TRIED
    assert rates[-1] == UNKNOWN


@pytest.mark.parametrize("burst", [1, 2, 5, 20])
@pytest.mark.parametrize("flight", [4, 64])
@pytest.mark.parametrize("per_minute", [60, 600])
def test_after_30_seconds_under_2_percent_are_refused_at_90_percent_of_the_limit(
    per_minute: float, burst: float, flight: int
) -> None:
    traffic = simulate(flight, 330, limit=(per_minute, burst))
    assert traffic.refused < 0.02, f"seed {SEED}: {traffic}"
    assert traffic.delivered >= 0.9 * per_minute / 60, f"seed {SEED}: {traffic}"


def test_no_limit_is_set_without_a_refusal() -> None:
    traffic = simulate(16, 60, limit=(60_000, 1000))
    assert (traffic.refused, traffic.rate) == (0.0, None)


def test_a_stated_limit_is_kept_at_once() -> None:
    pace = Pace()
    pace.state(1.0)
    pace.take(0.0, 1)
    assert pace.wait(0.0) == pytest.approx(1 / 0.98, abs=0.06)
    pace.state(2.0)
    assert pace.rate is not None
    assert pace.rate < 1.0, "a raised limit is grown into, not jumped to"


def test_one_decrease_for_all_that_were_in_the_air() -> None:
    pace = Pace()
    pace.state(10.0)
    for number in range(20):
        pace.take(0.5 + number / 100, 1)
    for number in range(20):
        pace.refused(1.0, 0.5 + number / 100)
    assert pace.rate == pytest.approx(4.9)


def test_units_given_back_may_be_used() -> None:
    pace = Pace()
    pace.state(100.0)
    pace.take(0.0, 1000)
    assert pace.wait(0.0) > 10
    pace.give_back(900)
    assert pace.wait(0.0) == pytest.approx(1.0, abs=0.1)


def test_a_limit_that_was_lifted_is_outgrown() -> None:
    pace, now = Pace(), 0.0
    while now < 400.0:
        now += max(0.05, pace.wait(now))
        pace.take(now, 1)
        if now < 60.0 and pace.rate is not None and pace.rate > 1.0:
            pace.refused(now + 0.01, now)
        else:
            pace.accepted(now + 0.01, now, 1)
        if now < 1.0:
            pace.refused(now + 0.02, now)
    assert pace.rate is None or pace.rate > 5.0


def test_a_limit_beside_refusals_at_random_is_used_and_met_now_and_then() -> None:
    # Chance, once shown, lets the rate double until the limit is met again.
    runs = [simulate(64, 330, limit=(600, 20), refuses=some(0.02), seed=100 * SEED + number) for number in range(3)]
    assert statistics.median(run.delivered for run in runs) >= 0.7 * 10, f"seed {SEED}: {runs}"
    assert statistics.median(run.refused for run in runs) < 0.45, f"seed {SEED}: {runs}"


def test_a_limit_that_fell_is_found_again() -> None:
    pace, now = Pace(), 0.0
    pace.state(10.0)
    for allowed in [10.5] * 3000 + [2.0] * 600:
        now += pace.wait(now)
        pace.take(now, 1)
        if pace.rate is not None and pace.rate <= allowed:
            pace.accepted(now + 0.01, now, 1)
        else:
            pace.refused(now + 0.01, now)
    assert pace.rate is not None
    assert pace.rate < 2.2


@pytest.mark.parametrize("refusals", [1, 9])
def test_a_few_refusals_at_the_start_do_not_slow_a_run_for_long(refusals: int) -> None:
    pace, now = Pace(), 0.0
    for _ in range(refusals):
        pace.take(now, 1)
        pace.refused(now + 0.1, now)
        now += 0.1 + pace.wait(now + 0.1)
    assert pace.rate is not None
    recovering = now
    while pace.rate is not None and pace.rate < 10.0:
        pace.take(now, 1)
        pace.accepted(now + 0.1, now, 1)
        now += max(0.1, pace.wait(now))
    assert now - recovering < 90.0
