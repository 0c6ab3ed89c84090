"""A small whole job for tests: a task, a config, a rule-based model, and an embedder that costs nothing.

Run as a script it is `metier`, lightened: `python tests/support/jobs.py run CONFIG …`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from optimizer.testing.fake_server import Messages, text_of
from optimizer.testing.light import BagOfWords, drop_charts, light_embeddings, lighten

__all__ = ["BagOfWords", "drop_charts", "light_embeddings", "lighten"]
ROOT = Path(__file__).parents[2]
LABELS = {"fruit": ("apple", "pear"), "metal": ("iron", "zinc"), "bird": ("owl", "crow")}
TRUTH = {word: label for label, words in LABELS.items() for word in words}
PLACES = ("north", "south", "east", "west", "upper", "lower", "inner", "outer", "old", "new", "red", "blue")


def rule(messages: Messages) -> str:
    """Answer rightly where the labels are listed or a demo shows the same word; else with the first label."""
    text = "\n".join(text_of(message) for message in messages)
    word = max(TRUTH, key=text.rfind)
    helped = text.count(word) > 1 or all(label in text for label in LABELS)
    return TRUTH[word] if helped else "fruit"


def rows() -> list[dict[str, str]]:
    """Return 72 examples, twelve a word."""
    return [{"text": f"the {place} store has {word}", "kind": TRUTH[word]} for place in PLACES for word in TRUTH]


def write_lines(path: Path, lines: Sequence[object]) -> None:
    """Write objects as JSON lines; a string is written as it is."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")


def make_task(folder: Path, examples: Sequence[object] | None = None, **changes: Any) -> Path:
    """Write a task folder; a change of None takes the key out of task.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {
        "name": "sorting",
        "inputs": {"text": {"desc": "a sentence"}},
        "outputs": {"kind": {"choices": list(LABELS)}},
        "instruction": "Sort it.",
        "data": {"path": "examples.jsonl"},
        "split": {"train": 0.4, "validation": 0.2, "test": 0.4},
        "metric": "choice",
        **changes,
    }
    written = {key: value for key, value in data.items() if value is not None}
    (folder / "task.yaml").write_text(yaml.safe_dump(written, sort_keys=False), encoding="utf-8")
    write_lines(folder / "examples.jsonl", rows() if examples is None else examples)
    return folder


def settings(task: Path, api_base: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return a small run's config as data."""
    return {
        "task": str(task),
        "models": {"task": "openai/fake", "api_base": api_base, "concurrency": 4, "timeout": 20},
        "search": {
            "trials": 8,
            "formats": ["turns", "block"],
            "demos": {"policies": ["static", "nearest"], "counts": [0, 2], "sets": 2},
            "round": 3,
            "block": 4,
            "instructions": 4,
        },
        "budget": {"calls": 100},
        "tracking": {"mlflow": None},
        "seed": 1,
        **changes,
    }


def write_config(path: Path, data: dict[str, Any]) -> Path:
    """Write a config."""
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path


def metier(*arguments: str | Path, light: bool = False, **options: Any) -> subprocess.Popen[str]:
    """Start the real command; `light`: as `lighten` makes it, without charts. Standard error is a pipe of its own."""
    command = [str(Path(__file__))] if light else ["-m", "optimizer"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, *command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


if __name__ == "__main__":
    import optimizer.sweep.local
    from optimizer.cli.main import main

    optimizer.sweep.local.COMMAND = (sys.executable, __file__)
    lighten(setattr)
    drop_charts(setattr)
    main()
