from __future__ import annotations

import asyncio

import numpy as np
import pytest

from experiments.replay.play import Recorded, examples_of, luckiest, play_search
from experiments.replay.rivals import PoolRandom, Uniform
from experiments.replay.tables import Table
from experiments.replay.worlds import World, replayed
from optimizer.errors import BudgetSpent
from optimizer.evaluate.evaluator import phase_tag
from optimizer.search.board import Board
from optimizer.search.race import BettingRace, Race
from optimizer.search.schedule import Schedule
from optimizer.types import Example, Score

EXAMPLES = [Example({"text": str(n)}, {}) for n in range(10)]


def schedule(world: World, race: Race | None = None) -> Schedule:
    return Schedule(examples_of(world), race or BettingRace(), 10, 4, 4)


def test_the_evaluator_gives_the_recorded_scores_until_the_calls_are_spent(table: Table) -> None:
    world = replayed(table, 0)
    evaluator = Recorded(world, 25)
    for start in (0, 10):
        found = asyncio.run(evaluator.run(world.candidates[7], EXAMPLES, "validation", start, phase_tag("search", 3)))
        assert [score.value for score in found] == world.scores[7, start : start + 10].tolist()
    assert {score.tokens for score in found} == {round(world.tokens[7])}
    with pytest.raises(BudgetSpent):
        asyncio.run(evaluator.run(world.candidates[7], EXAMPLES, "validation", 20, phase_tag("search", 3)))
    assert evaluator.calls == 20


def test_the_real_loop_evaluates_all_and_finds_the_best_of_the_table(table: Table) -> None:
    """Without racing and with calls enough the winner is the best row, and nothing is paid twice."""
    world = replayed(table, 5)
    played = play_search(world, 10**6, PoolRandom(world, 0), schedule(world, Uniform()), len(world.candidates))
    assert world.truth[played.winner] == world.truth.max()
    assert world.truth.max() - 0.05 < played.reported < world.truth.max()  # shrunken
    assert (played.calls, played.trials) == (world.scores.size, len(world.candidates))
    assert played.plain == (played.winner, pytest.approx(world.truth.max()))


def test_the_plain_maximum_is_that_of_those_who_saw_the_most(table: Table) -> None:
    world, board = replayed(table, 0), Board()
    for row, seen in ((3, 10), (7, 20), (9, 20)):
        board.add(world.candidates[row], [Score(value) for value in world.scores[row, :seen]])
    means = {row: world.scores[row, :20].mean() for row in (7, 9)}
    best = max(means, key=lambda row: means[row])
    assert luckiest(board, world) == (best, pytest.approx(means[best]))


def test_a_budget_is_never_overspent_and_a_winner_is_one_that_was_seen(table: Table) -> None:
    world = replayed(table, 6)
    for budget in (10, 37, 400):
        played = play_search(world, budget, PoolRandom(world, 1), schedule(world), 60)
        assert played.calls <= budget
        assert 0 <= played.winner < len(world.candidates)
    assert play_search(world, 5, PoolRandom(world, 1), schedule(world), 60).calls == 0


def test_one_seed_plays_the_same(table: Table) -> None:
    one, again = (
        play_search(replayed(table, 7), 300, PoolRandom(replayed(table, 7), 2), schedule(replayed(table, 7)), 60)
        for _ in range(2)
    )
    assert one == again
    assert np.isfinite(one.reported)
