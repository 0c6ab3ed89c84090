from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.evaluate.betting import STAKES, log_growth, log_mean, log_wealth


def test_the_wealth_is_the_mean_over_the_stakes() -> None:
    """Two losses and a win: each stake λ has (1 + λ)² (1 − λ)."""
    by_hand = np.mean([(1 + stake) ** 2 * (1 - stake) for stake in np.linspace(0.05, 0.95, 10)])
    assert log_wealth(np.array([[-1.0, 0.0, 1.0, -1.0]]))[0] == pytest.approx(math.log(by_hand))


@settings(deadline=None)
@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), max_size=30))
def test_an_equal_answer_moves_no_wealth(gaps: list[float]) -> None:
    assert log_wealth(np.array([[*gaps, 0.0]])) == pytest.approx(log_wealth(np.array([gaps or [0.0]])))


def test_one_tenth_of_the_rivals_of_an_equal_candidate_are_never_believed() -> None:
    """Ville's inequality under looking after every example: the chance to reach 10 is at most a tenth."""
    rng = np.random.default_rng(3)
    for values, chances in (((-1.0, 0.0, 1.0), (0.2, 0.6, 0.2)), ((-0.2, 0.8), (0.8, 0.2)), ((-0.9, 0.1), (0.1, 0.9))):
        gaps = rng.choice(values, p=chances, size=(500, 60))
        reached = [log_wealth(gaps[:, :seen]) >= math.log(10) for seen in range(1, 61)]
        assert np.any(reached, axis=0).mean() < 0.1


def test_rows_are_bet_on_apart_and_the_growths_add_up() -> None:
    rows = np.array([[-1.0, 0.5, 0.0], [0.25, 0.25, -0.5]])
    grown = log_growth(rows)
    assert grown.shape == (len(STAKES), 2)
    assert log_mean(log_growth(rows[:, :1]) + log_growth(rows[:, 1:])) == pytest.approx(log_mean(grown))
