from __future__ import annotations

import os
from dataclasses import astuple

import numpy as np
import pytest

from optimizer.testing.scores import ScoreModel, fit

FIRST_SEED = int(os.environ.get("METIER_TEST_SEED", "0"))


@pytest.mark.parametrize(
    "model",
    [ScoreModel(0.5, 0.8, 1.5), ScoreModel(1.0, 0.5, 0.5, duds=0.3), ScoreModel(0.2, 0.5, softness=0.7)],
)
def test_the_truth_is_what_many_examples_show(model: ScoreModel) -> None:
    """The candidates share the examples' difficulty, so their errors go together."""
    drawn = model.draw(np.random.default_rng(FIRST_SEED), 20, 40_000)
    assert drawn.values.mean(axis=1) == pytest.approx(drawn.truth, abs=0.02)
    assert ((drawn.values >= 0) & (drawn.values <= 1)).all()
    assert bool(np.isin(drawn.values, (0.0, 1.0)).all()) is (model.softness == 0)


def test_one_seed_gives_one_table() -> None:
    one, two = (ScoreModel().draw(np.random.default_rng(4), 5, 20) for _ in range(2))
    assert np.array_equal(one.values, two.values)


@pytest.mark.parametrize(
    "model",
    [ScoreModel(0.5, 0.8, 1.5, families=1), ScoreModel(0.0, 1.0, 0.7, 0.5, families=6), ScoreModel(1.0, 0.6, 1.0)],
)
def test_a_fit_finds_the_parameters_again(model: ScoreModel) -> None:
    found = []
    for seed in range(FIRST_SEED, FIRST_SEED + 8):
        values = model.draw(np.random.default_rng(seed), 60, 200).values
        families = np.arange(60) % model.families if model.residual else None
        found.append(astuple(fit(values, families))[:4])
    expected = (model.ability, model.skill, model.difficulty, model.residual)
    assert np.mean(found, axis=0) == pytest.approx(expected, abs=0.2), f"METIER_TEST_SEED={FIRST_SEED}"


def test_duds_are_counted_apart() -> None:
    values = ScoreModel(0.5, 0.3).draw(np.random.default_rng(FIRST_SEED), 30, 100).values
    found = fit(np.vstack([values, np.zeros((10, 100))]))
    assert found.duds == pytest.approx(0.25)
    assert found.skill == pytest.approx(fit(values).skill)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((2, 20)), "at least 3 candidates × 10 examples is needed, not one of shape"),
        (np.full((4, 20), 0.5), "only tables of zeros and ones"),
        (np.zeros((4, 20)), "0 of 4 candidates were ever right"),
    ],
)
def test_what_cannot_be_fitted_is_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(values)


def test_families_of_one_name_are_no_families() -> None:
    values = ScoreModel().draw(np.random.default_rng(0), 5, 20).values
    with pytest.raises(ValueError, match="two families"):
        fit(values, ["a"] * 5)
