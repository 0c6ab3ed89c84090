from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaincinv

from optimizer.evaluate.bounded import EACH_END, TAIL, least_gain, mean_interval

samples = st.lists(st.floats(-1, 1), min_size=1, max_size=40)


@settings(deadline=None, max_examples=60)
@given(samples)
def test_it_holds_the_mean_stays_inside_and_mirrors(values: list[float]) -> None:
    sample = np.array(values)
    low, high = mean_interval(sample)
    assert -1 <= low <= sample.mean() + 1e-9
    assert sample.mean() - 1e-9 <= high <= 1
    back = mean_interval(-sample)
    assert (-back[1], -back[0]) == (pytest.approx(float(low)), pytest.approx(float(high)))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from([-1.0, -0.25, 0.0, 0.5]), min_size=2, max_size=40))
def test_counts_say_how_often_a_value_was_seen(values: list[float]) -> None:
    kinds, counts = np.unique(values, return_counts=True)
    assert mean_interval(kinds, counts) == pytest.approx(mean_interval(np.array(values)))
    unseen = mean_interval(np.append(kinds, 0.99), np.append(counts, 0))
    assert unseen == pytest.approx(mean_interval(kinds, counts)), "a kind that was not seen is none"


@pytest.mark.parametrize("error", [0.001, 0.01, 0.02])
def test_another_error_has_its_share_of_the_tail(error: float) -> None:
    kinds, seen = np.array([-1.0, 1.0]), np.array([3, 57])
    low, high = mean_interval(kinds, seen, error)
    usual = mean_interval(kinds, seen)
    assert low < usual[0]
    assert high >= usual[1]
    exact = 2 * float(betaincinv(57, 4, TAIL * error / EACH_END)) - 1
    assert low <= exact + 2e-3, "it is no surer; where it is Student's it is less sure"
    assert mean_interval(kinds, seen, EACH_END) == usual


@pytest.mark.parametrize("n", [10, 20, 60, 300])
def test_of_values_at_both_ends_it_is_clopper_and_pearsons(n: int) -> None:
    """Where it is not Student's, which is the wider one at the end that is far away."""
    for right in {1, 2, n // 10, n // 2, n - 1, n}:
        low = mean_interval(np.array([-1.0, 1.0]), np.array([n - right, right]))[0]
        exact = 2 * float(betaincinv(right, n - right + 1, TAIL)) - 1
        assert low <= exact + 1e-3 * (1 + exact)
        if right >= 0.9 * n:
            assert low <= exact + 2e-3, "it is no surer; where it is Student's it is less sure"


@pytest.mark.parametrize("n", [5, 40, 300])
def test_equal_values_leave_room_for_what_three_in_n_would_undo(n: int) -> None:
    """A share q is missed by n examples with the chance (1 - q)**n."""
    low, high = mean_interval(np.full(n, 0.2))
    missed = 1 - TAIL ** (1 / n)
    assert low == pytest.approx(0.2 * (1 - missed) - missed, rel=5e-3)
    assert high == pytest.approx(0.2 * (1 - missed) + missed, rel=5e-3)


def test_with_many_examples_it_is_students() -> None:
    values = np.random.default_rng(0).choice([-0.5, 0.0, 0.75], 4000)
    error = values.std(ddof=1) / np.sqrt(len(values))
    low, high = mean_interval(values)
    assert (low, high) == (
        pytest.approx(values.mean() - 1.96 * error, abs=5e-5), pytest.approx(values.mean() + 1.96 * error, abs=5e-5)
    )  # fmt: skip


@pytest.mark.parametrize("n", [20, 60, 300])
def test_a_gain_of_all_is_shown_from_the_least_gain_on(n: int) -> None:
    least = least_gain(n)
    assert 3.45 < n * least < 3.9
    assert mean_interval(np.full(n, least * 1.01))[0] > 0 > mean_interval(np.full(n, least * 0.98))[0]
