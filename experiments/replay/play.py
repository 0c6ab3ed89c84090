"""Plays the real search loop on a world: its sampler, race, board and trial log, without model and disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from experiments.replay.worlds import World
from optimizer.errors import BudgetSpent
from optimizer.search.board import Board
from optimizer.search.loop import Search
from optimizer.search.sampler import Sampler
from optimizer.search.schedule import Schedule
from optimizer.search.trials import TrialLog
from optimizer.system.steady import SteadyClock
from optimizer.types import Candidate, Example, Score


@dataclass(frozen=True)
class Played:
    """How a search ended: its winner's row, what it reports of it, the calls it made, the candidates it tried.

    `plain` is the row and the mean of the highest mean among those that saw the most; None: the winner's own.
    """

    winner: int
    reported: float
    calls: int
    trials: int
    plain: tuple[int, float] | None = None


class Recorded:
    """An evaluator that answers from a world and stops at a budget of calls."""

    def __init__(self, world: World, budget: int) -> None:
        self.world, self.budget, self.calls = world, budget, 0

    async def run(self, one: Candidate, examples: Sequence[Example], _: str, start: int, tag: Any) -> list[Score]:
        """Return the recorded scores; raises BudgetSpent where they would cost more than there is."""
        if self.calls + len(examples) > self.budget:
            raise BudgetSpent("calls")
        self.calls += len(examples)
        row = self.world.places[one.id]
        scores, tokens = self.world.scores[row, start : start + len(examples)], round(self.world.tokens[row])
        return [Score(float(value), tokens=tokens, calls=1) for value in scores]


class Forgetful:
    """Stands for the ledger: takes every write and keeps nothing."""

    def __init__(self) -> None:
        self.clock = SteadyClock()

    def write(self, sql: str, values: Sequence[Any] = ()) -> Future[int]:
        """Keep nothing."""
        done: Future[int] = Future()
        done.set_result(0)
        return done


def examples_of(world: World) -> list[Example]:
    """Return as many examples as a world has columns; nobody reads what is in them."""
    return [Example({"text": str(place)}, {}) for place in range(world.length)]


def play_search(world: World, budget: int, sampler: Sampler, schedule: Schedule, trials: int) -> Played:
    """Return how the product's search ends on a world. The layout's examples stand for the world's first columns."""
    board = searched(world, budget, sampler, schedule, trials)
    best = board.winner()
    if best is None:
        return Played(0, 0.0, board.answered, 0)
    tried = len(answered(board))
    return Played(world.places[best], board.shrunken(best), board.answered, tried, luckiest(board, world))


def answered(board: Board) -> list[str]:
    """Return the candidates that have results, in the order in which they were asked for."""
    return [cid for cid in board.candidates if board.results(cid)]


def searched(world: World, budget: int, sampler: Sampler, schedule: Schedule, trials: int) -> Board:
    """Return what the product's search has seen of a world when it ends; see `play_search`."""
    evaluator = Recorded(world, budget)
    log = TrialLog(cast("Any", Forgetful()), len(schedule.examples), lambda event: None)
    search = Search(sampler, cast("Any", evaluator), log, schedule)
    asyncio.run(search.run(world.candidates[0], trials))
    return search.board


def luckiest(board: Board, world: World) -> tuple[int, float]:
    """Return the row and the mean of the highest mean among the candidates that saw the most examples."""
    most = max(len(board.results(cid)) for cid in board.candidates)
    means = {cid: float(np.mean(board.scores(cid))) for cid in board.candidates if len(board.results(cid)) == most}
    best = max(means, key=lambda cid: means[cid])
    return world.places[best], means[best]
