"""Kills migrations at random moments: `python -m experiments.migration.kills --kills 50`.

Each time a migration of a small task to two new models on the fake provider is killed at the N-th passage of a crash
point (`optimizer/testing/crash.py`), both drawn by chance out of what a whole migration passes; then the same command
is given until it ends. What was committed must not have been asked again, and the outcome must be that of one that
was left in peace.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

from optimizer.config.schema import ModelConfig
from optimizer.ledger.calls import answered_keys
from optimizer.ledger.reader import Reader
from optimizer.ledger.spend import lost_calls
from optimizer.prompt.saved import dump_prompt
from optimizer.task.load import load_task
from optimizer.testing.fake_server import FakeServer, Messages, text_of
from optimizer.testing.forks import Forks
from optimizer.types import Candidate, Prompt

LABELS = {"fruit": ("apple", "pear"), "metal": ("iron", "zinc"), "bird": ("owl", "crow")}
TRUTH = {word: label for label, words in LABELS.items() for word in words}
CONCURRENCY = 4


def rule(messages: Messages) -> str:
    """Answer rightly where the labels are listed or a demo shows the same word; else with the first label."""
    text = "\n".join(text_of(message) for message in messages)
    word = max(TRUTH, key=text.rfind)
    return TRUTH[word] if text.count(word) > 1 or all(label in text for label in LABELS) else "fruit"


def prepare(folder: Path, server: FakeServer) -> list[str]:
    """Write a task, a config and today's prompt; returns the command of the migration, but for its folder."""
    task = folder / "task"
    task.mkdir()
    rows = [{"text": f"the {n} store has {word}", "kind": label} for n in range(40) for word, label in TRUTH.items()]
    (task / "examples.jsonl").write_text("\n".join(map(json.dumps, rows)))
    spec = {
        "name": "sorting",
        "inputs": {"text": {"desc": "a sentence"}},
        "outputs": {"kind": {"choices": list(LABELS)}},
        "instruction": "Sort it.",
        "data": {"path": "examples.jsonl"},
        "split": {"train": 0.6, "validation": 0.1, "test": 0.3},
        "metric": "choice",
    }
    (task / "task.yaml").write_text(yaml.safe_dump(spec))
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
    return [*words, "--trust", "--config", str(folder / "run.yaml")]


def outcome(out: Path) -> list[tuple[Any, ...]]:
    """Return what a migration came to, without its times and paths."""
    data = json.loads((out / "migration.json").read_text())
    return [
        (one["model"], one["verdict"], [(m["name"], m["candidate"], m["score"]) for m in one["measured"]])
        for one in data["models"]
    ]


def recorded(out: Path) -> tuple[int, int]:
    """Return how many calls the ledgers of a migration hold as answered, and as lost."""
    done = lost = 0
    for file in out.rglob("ledger.db"):
        with closing(Reader(file)) as ledger:
            done, lost = done + len(answered_keys(ledger)), lost + lost_calls(ledger)
    return done, lost


def main() -> None:
    """Kill, go on, and check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance, struck, repeated = random.Random(options.seed), 0, 0  # noqa: S311
    with tempfile.TemporaryDirectory() as temporary, Forks() as forks, FakeServer(rule) as server:
        folder = Path(temporary)
        command = prepare(folder, server)
        log, counts = folder / "log", folder / "counts.json"
        assert forks.run(*command, "--out", folder / "whole", log=log, count=counts) in (0, 1, 2), log.read_text()
        passed = {point: count for point, count in json.loads(counts.read_text()).items() if count}
        whole = outcome(folder / "whole")
        while struck < options.kills:
            point = chance.choice(sorted(passed))
            at, out, before = f"{point}:{chance.randint(1, passed[point])}", folder / f"out{struck}", server.answered
            code = forks.run(*command, "--out", out, log=log, at=at)
            if code != -9:
                continue  # the point was passed less often this time
            struck += 1
            assert forks.run(*command, "--out", out, log=log) in (0, 1, 2), log.read_text()
            done, lost = recorded(out)
            again = server.answered - before - done
            assert again <= lost <= CONCURRENCY, f"{at}: {again} calls were made again, {lost} were in flight"
            assert outcome(out) == whole, f"{at}: another outcome"
            repeated += max(0, again)
            print(f"{struck:3} {at:24} {done} calls, {lost} lost, {max(0, again)} made again", flush=True)
    print(f"{struck} kills, {repeated} calls made again, all of them in flight; the same outcome each time")


if __name__ == "__main__":
    main()
