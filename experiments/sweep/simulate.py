"""What a sweep itself costs: cells that nobody plays, through the real planner, ledger, loop and report.

`python experiments/sweep/simulate.py --cells 1000` prints the milliseconds of a cell, the driver's memory, and the
seconds of the report. With `--processes` each cell is a process that only reads its order and answers: what starting
one and speaking with it costs. With `--folder` the sweep stays there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from optimizer.sweep import local
from optimizer.sweep.local import LocalPlayer
from optimizer.sweep.player import Order, Played
from optimizer.sweep.report import make_sweep_report
from optimizer.sweep.run import play_sweep

TEST_EXAMPLES, TASKS = 100, 10
STRATEGIES = ("default", "tpe", "random", "capo-like", "evoprompt-like")
# What a strategy and a task add to the probability of a right answer.
SKILL = {"default": 0.08, "tpe": 0.06, "random": 0.0, "capo-like": 0.04, "evoprompt-like": 0.02}
# A cell that plays nothing: it answers with the outcome that comes with its order.
SCRIPT = """
import json, sys
order = json.loads(sys.stdin.readline())
print(json.dumps({"state": "finished", "message": "", "outcome": order["sweep"]["outcome"]}))
"""


def outcome(order: Order) -> dict[str, Any]:
    """Return what a cell might come to."""
    task, chance = Path(order.config.task).name, random.Random(order.name)  # noqa: S311
    level = 0.5 + 0.03 * int(task.removeprefix("task"))
    skill = level + SKILL[order.config.search.strategy] + chance.gauss(0, 0.02)
    names = [f"{task} {number}" for number in range(TEST_EXAMPLES)]
    test = {name: [float(chance.random() < level - 0.1), float(chance.random() < skill)] for name in names}
    seed, winner = (sum(pair[side] for pair in test.values()) / len(test) for side in (0, 1))
    side = {"ci95": [0.4, 0.8], "candidate": "0123456789ab", "prompt": "turns, nearest 4", "tokens_per_call": 180.0}
    calls = chance.randint(300, 400)
    return {
        "run_id": order.name[-8:],
        "task": task,
        "metric": "choice@1",
        "is_mean": True,
        "verdict": "improved" if winner - seed > 0.1 else "inconclusive",
        "seed": {**side, "score": seed},
        "winner": {**side, "score": winner, "validation_score": skill},
        "difference": {"mean": winner - seed, "ci95": [winner - seed - 0.1, winner - seed + 0.1]},
        "test_examples": TEST_EXAMPLES,
        "test": test,
        "spent": {"calls": calls, "tokens": 150 * calls, "usd": 0.001 * calls},
        "test_calls": 3 * TEST_EXAMPLES,
        "asked": calls,
        "recalled": 0,
        "lost": 0,
        "seconds": 100.0,
        "trials": {"complete": 10, "raced_out": 20, "failed": 0},
        "failures": {"timeout": 1} if chance.random() < 0.1 else {},
        "curve": [[calls // 4, 0.1, skill - 0.1], [calls // 2, 0.2, skill - 0.03], [calls, 0.4, skill]],
        "notes": 0,
    }


@dataclass
class Simulated:
    """Answers at once."""

    async def play(self, order: Order) -> Played:
        """Play nothing."""
        await asyncio.sleep(0)
        return Played("finished", outcome=outcome(order))

    def room(self) -> int | None:
        """Return None: the sweep says how many."""
        return None

    def close(self) -> None:
        """Let go of nothing."""


@dataclass
class Processes:
    """Starts a process for each cell, which answers at once."""

    player: LocalPlayer = field(default_factory=LocalPlayer)

    async def play(self, order: Order) -> Played:
        """Let a process play nothing."""
        return await self.player.play(Order(order.name, order.config, {"outcome": outcome(order)}))

    def room(self) -> int | None:
        """Return None: the sweep says how many."""
        return None

    def close(self) -> None:
        """Let go of nothing."""


def write(folder: Path, cells: int) -> Path:
    """Write ten small tasks, a run and a sweep of so many cells."""
    rows = [{"text": f"the {number}th word", "kind": "ab"[number % 2]} for number in range(60)]
    for number in range(TASKS):
        task = folder / f"task{number}"
        task.mkdir(parents=True)
        data = {
            "name": task.name,
            "inputs": {"text": {}},
            "outputs": {"kind": {"choices": ["a", "b"]}},
            "instruction": "Sort it.",
            "data": {"path": "examples.jsonl"},
            "metric": "choice",
        }
        (task / "task.yaml").write_text(yaml.safe_dump(data))
        (task / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = {"task": "task0", "models": {"task": "openai/fake", "api_base": "http://127.0.0.1:9/v1"}}
    (folder / "run.yaml").write_text(yaml.safe_dump({**run, "tracking": {"mlflow": None}}))
    seeds = [*range(cells // TASKS // len(STRATEGIES))]
    matrix = {"task": [f"task{n}" for n in range(TASKS)], "search.strategy": [*STRATEGIES], "seed": seeds}
    sweep = {"base": "run.yaml", "matrix": matrix, "budget": {"usd": 1000}, "parallel": 4}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    return folder / "sweep.yaml"


def main() -> None:
    """Play, report, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--processes", action="store_true")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        sweep = write(folder / "files", options.cells)
        if options.processes:
            local.COMMAND = (sys.executable, "-S", "-c", SCRIPT)
        wall, cpu = time.perf_counter(), time.process_time()
        ended = play_sweep(sweep, folder / "sweep", player=Processes() if options.processes else Simulated())
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        assert ended.complete
        print(f"{ended.finished} cells: {1000 * wall / ended.finished:.1f} ms a cell, {memory:.0f} MB")
        print(f"of it the driver's processor time: {1000 * cpu / ended.finished:.1f} ms a cell")
        begun = time.perf_counter()
        page = make_sweep_report(ended.folder)
        print(f"report: {time.perf_counter() - begun:.1f} s, {page.stat().st_size / 1e6:.1f} MB")
        print(f"memory after the report: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
