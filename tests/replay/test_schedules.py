from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from experiments.replay import schedules
from experiments.replay.play import Played
from experiments.replay.tables import Table
from experiments.replay.worlds import World, replayed

from .conftest import SEED

METHODS = [schedules.halving, schedules.mipro, schedules.hbbops]


@pytest.mark.parametrize("method", METHODS)
def test_a_schedule_keeps_its_budget_and_uses_most_of_it(method: Callable[..., Played], table: Table) -> None:
    world = replayed(table, SEED)
    for budget in (0, 60, 375, 1500):
        played = method(world, budget, SEED)
        assert played.calls <= budget
        assert played == method(world, budget, SEED)
    assert played.calls > 0.5 * budget


@pytest.mark.parametrize("method", METHODS)
def test_more_calls_lead_to_better_winners(method: Callable[..., Played], table: Table) -> None:
    def regret(budget: int) -> float:
        worlds = [replayed(table, seed) for seed in range(SEED, SEED + 12)]
        return float(np.mean([w.truth.max() - w.truth[method(w, budget, SEED).winner] for w in worlds]))

    assert regret(1500) < regret(150) - 0.02


def test_halving_ends_with_candidates_that_saw_everything(table: Table) -> None:
    world = replayed(table, SEED)
    played = schedules.halving(world, 1500, SEED)
    assert played.reported == pytest.approx(world.truth[played.winner])


def test_an_account_pays_an_example_once(table: Table) -> None:
    account = schedules.Account(replayed(table, 0), 50)
    assert account.extend(3, 20)
    assert account.extend(3, 15)
    assert account.extend(3, 45)
    assert (account.left, account.seen) == (5, {3: 45})
    assert not account.extend(4, 6)
    assert account.mean(3, 10) == pytest.approx(account.world.scores[3, :10].mean())


def test_the_gp_goes_through_what_it_knows_and_is_unsure_elsewhere() -> None:
    rng = np.random.default_rng(SEED)
    known = rng.random((12, 2)) * 3
    values = np.sin(known[:, 0])
    mean, spread = schedules.gp(known, values, np.vstack([known, [[9.0, 9.0]]]))
    assert np.abs(mean[:-1] - values).max() < 0.15
    assert spread[-1] > 3 * spread[:-1].max()


def test_the_minibatch_schedule_reports_a_full_evaluation(table: Table) -> None:
    world: World = replayed(table, SEED)
    played = schedules.mipro(world, 1500, SEED)
    assert played.reported == pytest.approx(world.scores[played.winner].mean())
