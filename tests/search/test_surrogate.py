from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from optimizer.search.features import KINDS, Features
from optimizer.search.surrogate import CENTRE, LEVEL, TREND, Observations, Posterior, Surrogate

from .conftest import space


@pytest.fixture
def features() -> Features:
    return Features(space(instructions=5, formats=("turns", "block", "chat")))


def random_rows(features: Features, size: int, seed: int) -> Any:
    from optimizer.search.candidates import rows_of

    rows = rows_of(features.space, "predict").all()
    return rows[np.random.default_rng(seed).permutation(len(rows))[:size]]


def seen(levels: Any, values: Any, variance: float = 1e-3, beliefs: Any = 0.0) -> Observations:
    size = len(levels)
    return Observations(levels, np.asarray(values, float), np.full(size, variance), np.zeros(size) + beliefs)


def test_the_posterior_is_that_of_the_textbook(features: Features) -> None:
    """Rasmussen & Williams 2006, equations 2.25 and 2.26, by plain inversion."""
    surrogate, rng = Surrogate(features.tables), np.random.default_rng(1)
    known, asked = random_rows(features, 12, 1), random_rows(features, 30, 2)
    values, variances = rng.random(12), rng.uniform(0.001, 0.1, 12)
    told, hoped = rng.normal(size=12) / 10, rng.normal(size=30) / 10
    mean, deviation = Posterior(surrogate, surrogate.start, Observations(known, values, variances, told)).predict(
        asked, hoped
    )

    def kernel(one: Any, two: Any, b1: Any, b2: Any) -> Any:
        return surrogate.kernel(surrogate.start, one, two) + LEVEL + TREND * np.outer(b1, b2)

    inverse = np.linalg.inv(kernel(known, known, told, told) + np.diag(variances))
    cross = kernel(asked, known, hoped, told)
    assert mean == pytest.approx(CENTRE + hoped + cross @ inverse @ (values - CENTRE - told))
    own = kernel(asked, asked, hoped, hoped)
    assert deviation**2 == pytest.approx(np.diag(own - cross @ inverse @ cross.T))


def test_the_gradient_of_the_loss_is_right(features: Features) -> None:
    surrogate, levels = Surrogate(features.tables), random_rows(features, 15, 3)
    told = seen(levels, np.random.default_rng(3).random(15), 0.01, 0.1)
    varied = [(place, table) for place, table in enumerate(features.tables) if table.any()]
    apart = [table[np.ix_(levels[:, place], levels[:, place])] for place, table in varied]
    theta = surrogate.start + np.random.default_rng(4).normal(size=len(surrogate.start)) / 2
    _, gradient = surrogate._loss(theta, told, apart)
    slopes = approx_fprime(theta, lambda at: surrogate._loss(at, told, apart)[0], 1e-6)
    assert gradient == pytest.approx(slopes, rel=1e-3, abs=1e-4)


def test_the_kernel_is_one(features: Features) -> None:
    surrogate, rows = Surrogate(features.tables), random_rows(features, 80, 5)
    found = surrogate.kernel(surrogate.start, rows, rows)
    assert np.linalg.eigvalsh(found).min() > -1e-3
    assert np.diag(found) == pytest.approx(np.full(80, np.exp(surrogate.start[len(KINDS) :]).sum()))


def test_many_columns_are_taken_in_parts(features: Features) -> None:
    surrogate, rows = Surrogate(features.tables), np.repeat(random_rows(features, 50, 6), 12, axis=0)
    found = surrogate.kernel(surrogate.start, rows[:3], rows)
    assert found.shape == (3, 600)
    assert (found[:, ::12] == surrogate.kernel(surrogate.start, rows[:3], rows[::12])).all()


def test_a_sure_observation_is_believed_and_an_unsure_one_hardly(features: Features) -> None:
    surrogate, rows = Surrogate(features.tables), random_rows(features, 2, 7)
    moved = []
    for variance in (1e-4, 1e-2, 1.0):
        told = Observations(rows, np.array([0.5, 0.9]), np.array([1e-4, variance]), np.zeros(2))
        moved.append(Posterior(surrogate, surrogate.start, told).predict(rows, np.zeros(2))[0][1])
    assert moved[0] == pytest.approx(0.9, abs=0.01)
    assert moved[0] > moved[1] > moved[2]
    assert moved[2] < 0.6


def test_without_observations_the_prior_speaks(features: Features) -> None:
    surrogate, rows = Surrogate(features.tables), random_rows(features, 3, 8)
    nothing = seen(rows[:0], [])
    mean, deviation = Posterior(surrogate, surrogate.fitted(nothing), nothing).predict(rows, np.array([0.0, 0.1, -0.1]))
    assert mean == pytest.approx([0.5, 0.6, 0.4])
    assert (deviation > 0.5).all()


def test_a_few_trials_outweigh_a_wrong_prior(features: Features) -> None:
    """It expects one half of the candidates 0.2 above the other; they are 0.2 below."""
    surrogate, rows = Surrogate(features.tables), random_rows(features, 40, 9)
    hoped = np.where(rows[:, 1] == 0, 0.1, -0.1)
    told = Observations(rows[:20], 0.5 - hoped[:20], np.full(20, 0.01), hoped[:20])
    mean, _ = Posterior(surrogate, surrogate.fitted(told), told).predict(rows[20:], hoped[20:])
    assert mean[rows[20:, 1] == 0].max() < mean[rows[20:, 1] != 0].min()


def test_what_matters_is_found_to_matter(features: Features) -> None:
    """Scores that follow the instruction only: format and policy are found less relevant, and it predicts."""
    surrogate, rows = Surrogate(features.tables), random_rows(features, 120, 10)
    values = np.array([0.2, 0.7, 0.4, 0.9, 0.3])[rows[:, 0]]
    noise = np.random.default_rng(10).normal(size=120) * 0.05
    told = seen(rows[:60], (values + noise)[:60], 0.0025)
    theta = surrogate.fitted(told)
    relevance = dict(zip(KINDS, theta, strict=False))
    assert relevance["instruction"] > max(relevance["format"], relevance["policy"], relevance["order"])
    mean, _ = Posterior(surrogate, theta, told).predict(rows[60:], np.zeros(60))
    assert float(np.sqrt(np.mean((mean - values[60:]) ** 2))) < 0.04


def test_a_space_of_one_candidate_has_a_surrogate() -> None:
    features = Features(space(instructions=1, formats=("turns",), counts=(0,)))
    surrogate, row = Surrogate(features.tables), np.zeros((1, 6), dtype=np.intp)
    told = seen(np.repeat(row, 3, axis=0), [0.2, 0.4, 0.6], 0.01)
    mean, _ = Posterior(surrogate, surrogate.fitted(told), told).predict(row, np.zeros(1))
    assert mean[0] == pytest.approx(0.4, abs=0.02)


def test_observations_are_taken_and_added() -> None:
    rows = np.arange(12).reshape(4, 3)
    told = seen(rows, [0.1, 0.2, 0.3, 0.4]).take([3, 1])
    assert (len(told), told.values.tolist()) == (2, [0.4, 0.2])
    more = told.with_more(rows[:1], np.array([0.9]), 0.5, np.array([0.1]))
    assert (more.values.tolist(), more.variances.tolist(), more.beliefs.tolist()) == (
        [0.4, 0.2, 0.9],
        [1e-3, 1e-3, 0.5],
        [0.0, 0.0, 0.1],
    )
    assert more.levels.tolist() == [[9, 10, 11], [3, 4, 5], [0, 1, 2]]
