from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.evaluate.latency import Latency, latency_of, latency_of_results
from optimizer.types import Failure, Score

TIMES = st.lists(st.floats(0.0, 100.0), min_size=1, max_size=60)


@given(TIMES)
def test_the_median_lies_in_its_interval_and_below_the_95th_percentile(times: list[float]) -> None:
    found = latency_of(times)
    assert found is not None
    assert found.p50 == pytest.approx(1000 * statistics.median(times), abs=0.06)
    low, high = found.ci95
    assert low <= found.p50 <= high
    assert found.p50 <= found.p95 + 0.1
    assert found.answers == len(times)
    assert Latency.from_json(found.to_json()) == found


@given(st.lists(st.floats(0.0, 1.0), min_size=11, max_size=40), st.floats(10.0, 1e4))
def test_one_call_that_was_held_up_does_not_move_it_beyond_the_others(times: list[float], slow: float) -> None:
    found = latency_of([*times, slow])
    assert found is not None
    assert found.p50 <= 1000 * max(times) + 0.1


def test_the_interval_holds_the_true_median_in_95_of_100_samples() -> None:
    rng = np.random.default_rng(0)
    for count in (6, 15, 40):
        held = 0
        for _ in range(400):
            found = latency_of(rng.lognormal(0.0, 1.0, count).tolist())
            assert found is not None
            held += found.ci95[0] <= 1000 <= found.ci95[1]
        assert held / 400 >= 0.93  # 95 % less two standard errors


def test_nothing_is_known_of_no_answer() -> None:
    assert latency_of([]) is None
    assert latency_of_results([Score(1.0), Failure("server", "down")]) is None


def test_answers_whose_time_is_not_known_are_left_out() -> None:
    found = latency_of_results(
        [Score(1.0, seconds=0.2), Score(0.0), Failure("server", "down"), Score(0.0, seconds=0.4)]
    )
    assert found == Latency(300.0, (200.0, 400.0), 400.0, 2)
    assert found.text() == "300 ms (200 to 400; p95 400)"
