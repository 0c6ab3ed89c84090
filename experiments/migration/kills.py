"""Kills migrations at random moments: `python -m experiments.migration.kills --kills 50`.

Each time a migration of a small task to two new models on the fake provider is killed at the N-th passage of a crash
point (`optimizer/testing/crash.py`), both drawn by chance out of what a whole migration passes; then the same command
is given until it ends. What was committed must not have been asked again, and the outcome must be that of one that
was left in peace.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import yaml

from experiments.killing import Command, killed, recorded, rule, write_task
from optimizer.config.models import ModelConfig
from optimizer.prompt.saved import dump_prompt
from optimizer.task.load import load_task
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.forks import Forks
from optimizer.types import Candidate, Prompt

CONCURRENCY = 4


def prepare(folder: Path, server: FakeServer) -> Command:
    """Write a task, a config and today's prompt; returns the command of the migration, but for its folder."""
    task = write_task(folder)
    config: dict[str, Any] = {
        "task": str(task),
        "models": {"task": "openai/x", "api_base": server.api_base, "concurrency": CONCURRENCY},
        "search": {"trials": 4, "formats": ["turns"], "demos": {"policies": ["static"], "counts": [0, 2], "sets": 1}},
        "budget": {"calls": 60},
        "test": {"baselines": 10},
        "tracking": {"mlflow": None},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    candidate = Candidate({"predict": Prompt("Sort it: fruit, metal or bird.")})
    model = ModelConfig(model="openai/old", api_base=server.api_base)
    (folder / "best.json").write_text(dump_prompt(load_task(task), candidate, model, {}))
    words = ["migrate", str(folder / "best.json"), "--to", "openai/new", "openai/newer", "--margin", "0.1", "--quiet"]
    return Command([*words, "--trust", "--config", str(folder / "run.yaml")], "--out", folder, ended=(0, 1, 2))


def outcome(out: Path) -> list[tuple[Any, ...]]:
    """Return what a migration came to, without its times and paths."""
    data = json.loads((out / "migration.json").read_text())
    return [
        (one["model"], one["verdict"], [(m["name"], m["candidate"], m["score"]) for m in one["measured"]])
        for one in data["models"]
    ]


def main() -> None:
    """Kill, go on, and check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    repeated = 0
    with tempfile.TemporaryDirectory() as temporary, Forks() as forks, FakeServer(rule) as server:
        folder = Path(temporary)
        command = prepare(folder, server)
        passed = command.passed(forks, folder / "whole")
        whole, before = outcome(folder / "whole"), server.answered
        for struck, at, out in killed(command, forks, passed, options.kills, options.seed):
            done, lost = recorded(out)
            again = server.answered - before - done
            before = server.answered
            assert again <= lost <= CONCURRENCY, f"{at}: {again} calls were made again, {lost} were in flight"
            assert outcome(out) == whole, f"{at}: another outcome"
            repeated += max(0, again)
            print(f"{struck:3} {at:24} {done} calls, {lost} lost, {max(0, again)} made again", flush=True)
    print(f"{options.kills} kills, {repeated} calls made again, all of them in flight; the same outcome each time")


if __name__ == "__main__":
    main()
