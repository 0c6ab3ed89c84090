"""Whole searches in which calls fail unevenly: nobody wins by failing on the examples that it would get wrong."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from typing import Any

import pytest

from optimizer.search.board import Board
from optimizer.search.loop import Search
from optimizer.search.race import BettingRace
from optimizer.search.sampler import Asked, Observation
from optimizer.search.schedule import Schedule
from optimizer.types import Candidate, Example, Failure, Score

from .conftest import candidate

FIRST_SEED = int(os.environ.get("METIER_TEST_SEED", "0"))
EXAMPLES = [Example({"n": n}, {"answer": "yes"}) for n in range(40)]


class Simulated:
    """A model whose answers, and whose failures, depend on the candidate and on the example."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = random.Random(seed)
        self.ease = [rng.gauss(0, 0.4) for _ in EXAMPLES]
        self.tables: dict[str, list[Score | Failure]] = {}

    def draw(self, name: str) -> Candidate:
        """Return a new candidate; some of them fail mostly where they, or all, are wrong."""
        made, rng = candidate(name), self.rng
        skill, rate, habit = rng.uniform(0.2, 0.8), rng.choice((0.0, 0.05, 0.15)), rng.choice(("any", "hard", "wrong"))
        table: list[Score | Failure] = []
        for ease in self.ease:
            value = float(rng.random() < skill + ease)
            tempting = {"any": True, "hard": ease < -0.2, "wrong": value == 0.0}[habit]
            failed = rng.random() < rate * (2.0 if tempting and habit != "any" else float(tempting))
            table.append(Failure("server", "down") if failed else Score(value))
        self.tables[made.id] = table
        return made

    async def run(self, one: Candidate, examples: Sequence[Example], split: str, start: int, tag: Any) -> list[Any]:
        """Answer as an Evaluator does."""
        return self.tables[one.id][start : start + len(examples)]

    def ask(self, known: Any) -> Asked:
        """Propose as a Sampler does."""
        return Asked(self.draw(f"candidate {len(known)}"))

    def tell(self, asked: Asked, observation: Observation | None) -> None:
        """Learn nothing."""


class Silent:
    """A TrialLog that writes nothing."""

    def begin(self, *_: Any) -> None: ...
    def progress(self, *_: Any) -> None: ...
    def raced_out(self, *_: Any) -> None: ...
    def unfinished(self, *_: Any) -> None: ...
    def finish(self, *_: Any) -> None: ...


def play(seed: int) -> tuple[Board, str]:
    model = Simulated(seed)
    search = Search(model, model, Silent(), Schedule(EXAMPLES, BettingRace(), 10, 5, 5))  # type: ignore[arg-type]
    winner = asyncio.run(search.run(model.draw("seed"), 14))
    assert winner is not None
    return search.board, winner


def rivals(board: Board, winner: str) -> list[str]:
    """Return the others that may be ranked and that saw as much as the winner, itself included."""
    seen = len(board.results(winner))
    return [c for c in board.candidates if len(board.results(c)) == seen and not board.too_many_failures(c)]


def worst_defeat(board: Board, one: str, field: Sequence[str]) -> float:
    """Return by how much the strongest of the others is ahead on the examples that both have answered."""
    defeats = [0.0]
    for other in field:
        mine, theirs = board.paired(one, other)
        defeats.append((sum(theirs) - sum(mine)) / len(mine) if mine else 0.0)
    return max(defeats)


def profits(board: Board, winner: str) -> bool:
    """Tell if somebody else is less beaten than the winner where both have answered."""
    field = rivals(board, winner)
    return worst_defeat(board, winner, field) > min(worst_defeat(board, one, field) for one in field) + 1e-9


def by_mean(board: Board) -> str:
    """Return who would win by the mean over what was answered."""
    full = [c for c in board.candidates if len(board.results(c)) == len(EXAMPLES) and not board.too_many_failures(c)]
    return max(full or list(board.candidates), key=lambda c: sum(board.scores(c)) / max(1, len(board.scores(c))))


def check(seeds: range) -> None:
    naive = failures = 0
    for seed in seeds:
        board, winner = play(seed)
        assert not profits(board, winner), f"METIER_TEST_SEED={seed}"
        failures += board.failures(winner)
        naive += profits(board, by_mean(board))
    assert failures > len(seeds) / 2  # winners did lose answers
    assert naive > len(seeds) / 100  # and the mean over what was answered would have been fooled


def test_no_winner_of_a_hundred_searches_profits_from_dropped_examples() -> None:
    check(range(FIRST_SEED, FIRST_SEED + 100))


@pytest.mark.slow
def test_no_winner_of_a_thousand_searches_profits_from_dropped_examples() -> None:
    check(range(FIRST_SEED, FIRST_SEED + 1000))
