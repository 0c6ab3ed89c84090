from __future__ import annotations

import numpy as np
import pytest

from optimizer.evaluate.bounded import mean_interval
from optimizer.evaluate.statistics import wilson
from optimizer.testing.distributions import Distribution, Errors, Goal, errors_of, samples, worst

GAINED_OFTEN_LOST_SELDOM = Distribution((0.02, 0.0, -1.0), (0.4, 0.592, 0.008))
MOST_WRONG = Distribution((-1.0, -0.8, 1.0), (0.6, 0.38, 0.02))  # scores of 0, 0.1 and 1
PAIRED = (-1.0, 0.0, 1.0)


def holds(errors: Errors) -> bool:
    """Tell if an interval keeps to what is said of it: see docs/pages/explanation/verdict.md."""
    return errors.exact and errors.coverage >= 0.93 and max(errors.above, errors.below) <= 0.035


@pytest.mark.parametrize("n", [20, 30, 60, 100, 300])
@pytest.mark.parametrize("distribution", [GAINED_OFTEN_LOST_SELDOM, MOST_WRONG], ids=["gained often", "most wrong"])
def test_a_rare_large_loss_that_no_sample_shows_is_reckoned_with(distribution: Distribution, n: int) -> None:
    """Student's interval with a pair of pseudo-observations covered 0.91 and 0.86, and said "improved" in 8.8 %."""
    errors = errors_of(distribution, n)
    assert holds(errors), errors


def test_what_the_search_once_found_is_mended() -> None:
    """With the smallest value counted once more on one side of the median only, these were 3.7 % and 3.6 %."""
    for values, chances, n in (
        ((0.1941, -0.1547, -1.0), (0.7976, 0.0563, 0.1461), 20),
        ((0.0917, -0.0425, -1.0), (0.8666, 0.0563, 0.0771), 40),
    ):
        moved = np.array(values) - np.dot(values, chances)
        errors = errors_of(Distribution(tuple(np.maximum(moved, -1.0)), chances), n)
        assert holds(errors), errors


@pytest.mark.parametrize(
    ("n", "values", "chances", "missed", "improved"),
    [
        (104, PAIRED, (0.5, 0.0, 0.5), 0.062, 0.031),
        (150, (-1.0, -0.4), (0.5, 0.5), 0.060, None),
        (100, PAIRED, (0.4854, 0.5105, 0.0041), 0.055, None),
        (30, (-0.5, 1.0), (0.3775, 0.6225), 0.058, None),
        (40, (0.0339, 0.2682, -1.0), (0.7499, 0.1772, 0.0729), None, 0.032),
    ],
)
def test_the_worst_that_was_found_is_as_bad_as_the_page_says(
    n: int, values: tuple[float, ...], chances: tuple[float, ...], missed: float | None, improved: float | None
) -> None:
    """docs/pages/explanation/verdict.md and experiments/intervals have these figures."""
    errors = errors_of(Distribution(values, chances), n)
    assert holds(errors)
    assert missed is None or 1 - errors.coverage == pytest.approx(missed, abs=5e-4)
    assert improved is None or errors.improved == pytest.approx(improved, abs=5e-4)


@pytest.mark.parametrize("nq", [1.0, 2.0, 3.0, 4.5, 6.0])
@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0, 2.5])
def test_a_gain_of_all_that_a_rare_loss_undoes_is_seldom_called_better(nq: float, noise: float) -> None:
    """With q = nq / n lost by 1, and noise of so many times 1/n in the mean of the rest."""
    for n in (40, 100, 300):
        q, spread = nq / n, noise / np.sqrt(n)
        values = (q / (1 - q) + spread, q / (1 - q) - spread, -1.0)
        errors = errors_of(Distribution(values, ((1 - q) / 2, (1 - q) / 2, q)), n)
        assert holds(errors), (n, errors)


@pytest.mark.parametrize("goal", ["missed", "improved"])
@pytest.mark.parametrize(("n", "kinds", "values"), [(20, 2, None), (60, 2, None), (20, 3, None), (60, 3, PAIRED)])
def test_the_worst_that_a_short_search_finds_is_within_what_is_stated(
    goal: Goal, n: int, kinds: int, values: tuple[float, ...] | None
) -> None:
    found = worst(goal, n, kinds, values=values, rounds=3)
    assert holds(found.errors), found
    assert goal == "missed" or (found.distribution.mean == pytest.approx(0) and found.errors.improved <= 0.035)


def test_all_samples_are_listed_once() -> None:
    counts = samples(4, 3)
    assert len(counts) == len({tuple(row) for row in counts}) == 15  # 6 over 2
    assert (counts.sum(axis=1) == 4).all()
    assert counts.min() == 0


def test_the_search_finds_what_is_wrong_with_an_interval() -> None:
    """Student's alone misses nearly always what is rare."""

    def students(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = counts.sum(axis=-1)
        mean = (counts * values).sum(axis=-1) / n
        half = 2 * np.sqrt(((counts * (values - mean[:, None]) ** 2).sum(axis=-1)) / n**2)
        return mean - half, mean + half

    found = worst("missed", 40, 2, method=students, rounds=5)
    assert found.errors.coverage < 0.5
    assert worst("improved", 40, 2, method=students, rounds=5).errors.improved > 0.3


def test_wilsons_interval_alone_misses_what_is_rare() -> None:
    """Why `interval` holds the exact one, too: one right answer in 100, of 0.18 that are expected."""

    def wilsons(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ends = np.array([wilson(right, 100) for right in counts[:, 1]])
        return 2 * ends[:, 0] - 1, 2 * ends[:, 1] - 1

    seldom = Distribution((-1.0, 1.0), (0.9983, 0.0017))
    assert errors_of(seldom, 100, wilsons).coverage < 0.87
    assert errors_of(seldom, 100).coverage > 0.99


def test_what_is_computed_is_what_is_drawn() -> None:
    some = Distribution((-0.7, 0.1, 0.4), (0.2, 0.5, 0.3))
    counts = np.random.default_rng(1).multinomial(25, some.chances, 4000)
    low, high = mean_interval(np.array(some.values), counts)
    errors = errors_of(some, 25)
    assert errors.exact
    assert errors.coverage == pytest.approx(float(((low <= some.mean) & (some.mean <= high)).mean()), abs=0.012)
    assert not errors_of(Distribution((-0.7, 0.1, 0.2, 0.4), (0.25,) * 4), 300).exact, "too many samples to list"
