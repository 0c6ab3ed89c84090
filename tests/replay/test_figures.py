from __future__ import annotations

import itertools

import numpy as np
import pytest

from experiments.replay import figures


def test_the_best_of_some_is_the_mean_over_all_choices() -> None:
    values = np.array([0.3, 0.9, 0.1, 0.5, 0.5])
    for size in range(1, 6):
        choices = [max(chosen) for chosen in itertools.combinations(values, size)]
        assert figures.best_of(values, size) == pytest.approx(np.mean(choices))


def test_a_share_is_that_of_the_best_other() -> None:
    """Means 1, 4 and 2 points, and one of our own that does not count."""
    names = ["ours", "a", "b", "our race, c"]
    table = np.stack([np.full((2, 50), mean) for mean in (0.01, 0.04, 0.02, 0.001)])
    assert figures.ratio(table, names) == (pytest.approx(0.5), pytest.approx(0.5), pytest.approx(0.5), "b")


def test_a_share_has_the_interval_of_its_seeds() -> None:
    rng = np.random.default_rng(0)
    table = np.stack([rng.exponential(scale, (3, 200)) for scale in (0.01, 0.02)])
    point, low, high, _ = figures.ratio(table, ["ours", "a"])
    assert low < point < high
    assert 0.4 < low < 0.5 < high < 0.62


def test_ranks_are_shared_by_equals() -> None:
    table = np.array([[[0.0, 0.0]], [[0.0, 0.1]], [[0.5, 0.2]]])
    assert figures.mean_ranks(table).tolist() == [1.25, 1.75, 3.0]


def test_what_prompts_truly_differ_by_is_told_from_the_noise_of_few_examples() -> None:
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        prompts, examples = rng.normal(0, 0.05, (20, 1)), rng.normal(0, 0.3, (1, 60))
        found.append(figures.truly_apart(prompts + examples + rng.normal(0, 0.4, (20, 60))))
    assert np.sqrt(np.mean([point**2 for point, _, _ in found])) == pytest.approx(0.05, abs=0.01)
    assert 0.92 <= np.mean([low <= 0.05 <= high for _, low, high in found]) <= 0.98


def test_equal_prompts_do_not_differ() -> None:
    assert figures.truly_apart(np.tile(np.arange(10.0), (4, 1))) == (0.0, 0.0, 0.0)
