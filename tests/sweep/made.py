"""Sweeps for tests: a folder with a task, a run and a sweep, and a player that plays nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.jobs import make_task, settings, write_config

from optimizer.sweep.cells import combinations, named
from optimizer.sweep.ledger import SweepLedger
from optimizer.sweep.player import Order, Played
from optimizer.types import digest

MATRIX = {"search.strategy": ["default", "random"], "seed": [0, 1]}
SEARCH = {
    "trials": 4,
    "formats": ["turns", "block"],
    "demos": {"policies": ["static"], "counts": [0, 2], "sets": 2},
    "block": 4,
    "instructions": 3,
}


def write_sweep(
    folder: Path, api_base: str | None = None, run: Mapping[str, Any] | None = None, **changes: Any
) -> Path:
    """Write a task, a run and a sweep of four cells; `run` changes the run, the rest the sweep."""
    make_task(folder / "task")
    base = settings(
        Path("task"), api_base, **{"search": SEARCH, "budget": {}, "cache": {"shared": False}, **(run or {})}
    )
    base["models"] |= {"task": {"model": "openai/fake", "price": {"input": 1.0, "output": 2.0}}}
    del base["seed"]
    write_config(folder / "run.yaml", base)
    data = {"base": "run.yaml", "matrix": MATRIX, "parallel": 2, **changes}
    return write_config(folder / "sweep.yaml", {key: value for key, value in data.items() if value is not None})


def made_outcome(
    task: str = "sorting", score: float = 0.8, examples: int = 20, calls: int = 10, serial: object = 0, **changes: Any
) -> dict[str, Any]:
    """Return an outcome such as a cell's; `serial` decides which examples are right."""
    chance = random.Random(digest([task, score, serial]))
    names = [f"{task} {number}" for number in range(examples)]
    winner = {name: float(chance.random() < score) for name in names}
    seed = {name: float(number % 2) for number, name in enumerate(names)}
    means = [sum(side.values()) / examples for side in (seed, winner)]
    side = {"ci95": [0.1, 0.9], "candidate": "abc", "prompt": "turns, no demos", "tokens_per_call": 30.0}
    return {
        "run_id": digest(serial, 8),
        "task": task,
        "metric": "choice@1",
        "is_mean": True,
        "verdict": "improved" if means[1] > means[0] + 0.2 else "inconclusive",
        "seed": {**side, "score": means[0]},
        "winner": {**side, "score": means[1], "validation_score": score},
        "difference": {"mean": means[1] - means[0], "ci95": [means[1] - means[0] - 0.1, means[1] - means[0] + 0.1]},
        "test_examples": examples,
        "test": {name: [seed[name], winner[name]] for name in names},
        "spent": {"calls": calls, "tokens": 100 * calls, "usd": 0.01 * calls},
        "test_calls": 2 * examples,
        "asked": calls,
        "recalled": 0,
        "lost": 0,
        "seconds": 12.5,
        "trials": {"complete": 3, "raced_out": 1, "failed": 0},
        "failures": {},
        "curve": [[4, 0.01, score / 2], [calls, 0.05, score]],
        "notes": 0,
        **changes,
    }


@dataclass
class FakePlayer:
    """Plays nothing: says of each cell what `answer` makes of its order, at once or after `seconds`."""

    answer: Callable[[Order], Played] = lambda order: Played("finished", outcome=made_outcome(serial=order.name))
    seconds: float = 0.0
    orders: list[Order] = field(default_factory=list)
    playing: int = 0
    most: int = 0

    async def play(self, order: Order) -> Played:
        """Play a cell."""
        self.orders.append(order)
        self.playing += 1
        self.most = max(self.most, self.playing)
        try:
            await asyncio.sleep(self.seconds)
            return self.answer(order)
        finally:
            self.playing -= 1

    def room(self) -> int | None:
        """Return None: the sweep says how many."""
        return None

    def close(self) -> None:
        """Let go of nothing."""

    @property
    def names(self) -> list[str]:
        """The cells that were played, in order."""
        return [order.name for order in self.orders]


def played_sweep(
    folder: Path,
    matrix: Mapping[str, Any],
    outcome: Callable[[Mapping[str, Any]], Mapping[str, Any] | str | None],
) -> Path:
    """Write a sweep's ledger: of each cell an outcome, the message of its failure, or None for one that waits."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(SweepLedger(folder)) as ledger:
        cells = named(combinations(matrix), {})
        ledger.put_meta("id", "0123abcd")
        ledger.put_meta("spec", {"base": {"task": "t"}, "sweep": {"base": "run.yaml", "matrix": dict(matrix)}})
        ledger.put_meta("budget", {"calls": 500})
        ledger.add_cells([(cell, {"calls": 50}) for cell in cells])
        ledger.begin_attempt()
        for record in ledger.cells():
            answer = outcome(record.cell.values)
            if answer is not None:
                play = ledger.begin_play(record.id, {"calls": 50})
                if isinstance(answer, str):
                    ledger.end_play(play, "failed", answer)
                else:
                    ledger.end_play(play, "finished", "", answer)
    return folder
