"""The pace against simulated providers, in simulated time."""

from __future__ import annotations

import heapq
import os
import random
import statistics
from dataclasses import dataclass

import pytest

from optimizer.door.pace import Pace
from optimizer.testing.faults import Quota

SEED = int(os.environ.get("METIER_TEST_SEED", "1"))


@dataclass
class Traffic:
    refused: float
    throughput: float
    rate: float | None


def simulate(
    per_minute: float, burst: float, flight: int, until: float, seed: int = SEED, at_random: float = 0.0
) -> Traffic:
    """Let `flight` callers ask without end, a share of them refused at random; count all after the first 30 s."""
    dice, now, pace = random.Random(seed), [0.0], Pace()
    quota = Quota(per_minute, burst, lambda: now[0])
    log: list[tuple[float, bool]] = []
    queue = [(0.0, number, "ask", 0.0) for number in range(flight)]
    for number in range(flight, 10**7):
        moment, _, what, sent = heapq.heappop(queue)
        now[0] = moment
        if moment > until:
            break
        if what == "ask" and (wait := pace.wait(moment)) > 0:
            heapq.heappush(queue, (moment + wait + dice.uniform(0, 0.005), number, "ask", 0.0))
        elif what == "ask":
            pace.take(moment, 1)
            log.append((moment, dice.random() >= at_random and quota.admits()))
            heapq.heappush(queue, (moment + dice.uniform(0.1, 0.3), number, "yes" if log[-1][1] else "no", moment))
        elif what == "yes":
            pace.accepted(moment, sent, 1)
            heapq.heappush(queue, (moment, number, "ask", 0.0))
        else:
            pace.refused(moment, sent)
            heapq.heappush(queue, (moment + dice.random(), number, "ask", 0.0))
    later = [admitted for moment, admitted in log if moment >= 30]
    return Traffic(1 - sum(later) / len(later), sum(later) / (per_minute / 60 * (until - 30)), pace.rate)


@pytest.mark.parametrize("burst", [1, 2, 5, 20])
@pytest.mark.parametrize("flight", [4, 64])
@pytest.mark.parametrize("per_minute", [60, 600])
def test_after_30_seconds_under_2_percent_are_refused_at_90_percent_of_the_limit(
    per_minute: float, burst: float, flight: int
) -> None:
    traffic = simulate(per_minute, burst, flight, until=330)
    assert traffic.refused < 0.02, f"seed {SEED}: {traffic}"
    assert traffic.throughput >= 0.9, f"seed {SEED}: {traffic}"


def test_no_limit_is_set_without_a_refusal() -> None:
    traffic = simulate(60_000, 1000, 16, until=60)
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
    for _ in range(20):
        pace.refused(now=1.0, sent=0.5)
    assert pace.rate == pytest.approx(4.9)


def test_units_given_back_may_be_used() -> None:
    pace = Pace()
    pace.state(100.0)
    pace.take(0.0, 1000)
    assert pace.wait(0.0) > 10
    pace.give_back(900)
    assert pace.wait(0.0) == pytest.approx(1.0, abs=0.1)


def test_a_limit_that_was_lifted_is_outgrown() -> None:
    pace = Pace()
    pace.state(1.0)
    pace._stated = float("inf")
    pace.refused(10.0, 5.0)
    for second in range(11, 400):
        pace.accepted(float(second), float(second) - 0.1, 1)
    assert pace.rate is not None
    assert pace.rate > 5.0


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1])
def test_refusals_at_random_are_not_taken_for_a_limit(share: float) -> None:
    # 16 callers who wait 0.2 s for an answer and 0.5 s after a refusal: some 75 a second. Unlucky beginnings are slow.
    runs = [simulate(6e6, 1e5, 16, until=180, seed=100 * SEED + number, at_random=share) for number in range(5)]
    assert statistics.median(run.throughput for run in runs) * 1e5 > 40, f"seed {SEED}: {runs}"


def test_a_limit_is_kept_within_a_fifth_beside_refusals_at_random() -> None:
    traffic = simulate(600, 20, 64, until=330, at_random=0.02)
    assert traffic.throughput >= 0.8, f"seed {SEED}: {traffic}"
    assert traffic.refused < 0.2, f"seed {SEED}: {traffic}"


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
    while pace.rate < 10.0:
        pace.take(now, 1)
        pace.accepted(now + 0.1, now, 1)
        now += max(0.1, pace.wait(now))
    assert now - recovering < 90.0
