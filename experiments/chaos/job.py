"""The small job of a seed: a task with a metric of the user's own, a config, and what the models answer."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from optimizer.testing.fake_server import Messages, text_of

LABELS = {"fruit": ("apple", "pear"), "metal": ("iron", "zinc"), "bird": ("owl", "crow")}
TRUTH = {word: label for label, words in LABELS.items() for word in words}
STORES = ("north", "south", "east", "west", "upper", "lower", "inner", "outer", "old", "new")
METRIC = "import helper\n\n\ndef score(example, answer):\n    return helper.same(example['kind'], answer['kind'])\n"
HELPER = "def same(expected, seen):\n    return float(expected == seen)\n"


def answer(messages: Messages) -> str:
    """Name the kind; more often rightly where the prompt lists the kinds or shows the word. By content alone."""
    text = "\n".join(map(text_of, messages))
    word = max(TRUTH, key=text.rfind)
    helped = text.count(word) > 1 or all(label in text for label in LABELS)
    dice = int(sha256(text.encode()).hexdigest(), 16) % 100
    return TRUTH[word] if dice < (85 if helped else 40) else [*LABELS][dice % 3]


def write_instruction(messages: Messages) -> str:
    """Write an instruction that is another one for each question."""
    number = int(sha256("\n".join(map(text_of, messages)).encode()).hexdigest(), 16) % 1000
    return f"Sort the sentence by its kind, in the way of {number}."


@dataclass(frozen=True)
class Job:
    """One job, the same for each seed; `mirrored`: its trials go to MLflow."""

    seed: int
    mirrored: bool = False

    def make(self, folder: Path, model: str, writer: str, tracking: str | None) -> Path:
        """Write the task and the config for two servers and MLflow's address; returns the config's path."""
        chance = random.Random(f"job {self.seed}")  # noqa: S311 - a replayable draw
        task = folder / "task"
        task.mkdir(parents=True)
        rows = [
            {"text": f"the {store} store has {word}", "kind": TRUTH[word]}
            for store in STORES[: chance.randint(6, 10)]
            for word in TRUTH
        ]
        _write(task / "task.yaml", _task())
        (task / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        (task / "metric.py").write_text(METRIC)
        (task / "helper.py").write_text(HELPER)
        return _write(folder / "run.yaml", self._config(chance, task, model, writer, tracking))

    def _config(
        self, chance: random.Random, task: Path, model: str, writer: str, tracking: str | None
    ) -> dict[str, Any]:
        price = {"price": {"input": 1, "output": 4}}
        asks = {"prompt": {"model": "openai/fake-writer", "api_base": writer, **price}} if chance.random() < 0.3 else {}
        demos = {"policies": _some(chance, ("static", "nearest")), "counts": [0, 2], "sets": 2}
        search = {"trials": chance.randint(3, 6), "formats": _some(chance, ("turns", "block", "json")), "demos": demos}
        concurrency = chance.randint(1, 6)
        task_model = {"model": "openai/fake", "api_base": model, **price}
        return {
            "task": str(task),
            "models": {"task": task_model, "concurrency": concurrency, **asks},
            "search": {**search, "round": 3, "block": 4, "instructions": 3},
            # Time is never short: only a clock that goes wrong ends such a run early.
            "budget": chance.choice(({}, {"calls": chance.randint(40, 70)}, {"seconds": 1000}, {"usd": 100})),
            "failures": {"retries": 12, "give_up_after": 3.0},
            "test": {"baselines": chance.choice((0, 4))},
            "tracking": {"mlflow": {"uri": tracking} if self.mirrored else None},
            "seed": self.seed,
        }


def _task() -> dict[str, Any]:
    return {
        "name": "sorting",
        "inputs": {"text": {"desc": "a sentence"}},
        "outputs": {"kind": {"choices": list(LABELS)}},
        "instruction": "Sort it.",
        "data": {"path": "rows.jsonl"},
        "split": {"train": 0.4, "validation": 0.3, "test": 0.3},
        "metric": "python: metric.py:score",
    }


def _some(chance: random.Random, names: Sequence[str]) -> list[str]:
    return sorted(chance.sample(names, chance.randint(1, len(names))))


def _write(path: Path, data: object) -> Path:
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path
