from __future__ import annotations

import numpy as np
import pytest

from experiments.replay.generator import drawn, fitted, likeness, sampled
from experiments.replay.tables import Table

from .conftest import SEED, effect, made


@pytest.mark.slow
def test_the_main_effects_are_found(table: Table) -> None:
    """What a cell's expected score depends on is ranked as it was made."""
    world = drawn(table, SEED, 0, 20)
    wanted = np.array([effect(one) for one in world.choices])
    played = np.array([one.format in ("turns", "block") and one.count in (0, 4) for one in world.choices])
    assert np.corrcoef(wanted[played], world.truth[played])[0, 1] > 0.8


@pytest.mark.parametrize("graded", [False, True])
def test_what_is_drawn_resembles_the_table(graded: bool) -> None:
    """Each figure of the table lies among those of 40 draws, or within 15 % of their middle."""
    table = made(graded=graded)
    draws = [
        likeness(sampled(table, table.choices, 60, np.random.default_rng([SEED, n]), redraw=False)[0])
        for n in range(40)
    ]
    for name, value in likeness(table.scores).items():
        found = [draw[name] for draw in draws]
        assert min(found) <= value <= max(found) or abs(np.median(found) - value) < 0.15 * value, name


def test_the_truth_is_the_mean_over_many_examples(table: Table) -> None:
    world = drawn(table, SEED, 40, 6_000)
    assert len(world.candidates) == 40
    assert np.abs(world.scores.mean(axis=1) - world.truth).max() < 0.06
    assert np.abs(world.scores.mean(axis=1) - world.truth).mean() < 0.02


def test_a_seed_draws_one_world(table: Table) -> None:
    one, again, other = (drawn(table, seed, 30, 20) for seed in (1, 1, 2))
    assert one.choices == again.choices
    assert np.array_equal(one.scores, again.scores)
    assert not np.allclose(one.truth.mean(), other.truth.mean(), atol=1e-6)


def test_scores_of_right_and_wrong_stay_so(table: Table) -> None:
    assert fitted(table).binary
    assert set(np.unique(drawn(table, 0, 20, 20).scores)) == {0.0, 1.0}
    graded = made(graded=True)
    assert not fitted(graded).binary
    assert len(np.unique(drawn(graded, 0, 20, 20).scores)) > 100


def test_a_table_of_equals_has_no_spread_of_its_own() -> None:
    """Without differences between candidates the model finds hardly any."""
    base = made()
    rng = np.random.default_rng(SEED)
    flat = Table(**{**base.__dict__, "scores": (rng.random(base.scores.shape) < 0.5) + 0.0})
    assert drawn(flat, 0, 0, 10).truth.std() < 0.1 < drawn(base, 0, 0, 10).truth.std()
