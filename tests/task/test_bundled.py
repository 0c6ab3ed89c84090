"""The bundled tasks: how many examples they have, that none is there twice, and that their makers make them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.jobs import ROOT

from optimizer.task.load import load_task
from optimizer.task.task import Task
from optimizer.types import Example

BUNDLED = ROOT / "tasks"
# The least number of examples in all splits together.
LEAST = {
    "policy_answers": 58,
    "review_tone": 520,
    "reviews_skewed": 280,
    "support_intent": 910,
    "tickets_fr": 315,
}
MADE = ("reviews_skewed",)


def examples_of(task: Task) -> list[Example]:
    return [*task.train, *task.validation, *task.test]


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def make(name: str, out: Path, *options: object) -> None:
    """Run a task's make.py."""
    command = [sys.executable, str(BUNDLED / name / "make.py"), "--out", str(out), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=out.parent)
    assert done.returncode == 0, done.stderr


def test_every_bundled_task_is_counted_here() -> None:
    assert sorted(LEAST) == sorted(file.parent.name for file in BUNDLED.glob("*/task.yaml"))


@pytest.mark.parametrize("name", sorted(LEAST))
def test_a_bundled_task_has_examples_enough_in_each_split_and_none_twice(name: str) -> None:
    task = load_task(BUNDLED / name, scored=False)
    examples = examples_of(task)
    assert task.name == name
    assert task.description
    assert len(examples) >= LEAST[name]
    assert min(len(task.train), len(task.validation), len(task.test)) >= 15
    folded = Counter(" ".join(str(value) for value in example.inputs.values()).casefold() for example in examples)
    assert folded.most_common(1)[0][1] == 1
    for label, spec in task.outputs.items():
        for split in (task.train, task.validation, task.test):
            assert not spec.choices or {example.outputs[label] for example in split} == set(spec.choices)


@pytest.mark.parametrize("name", MADE)
def test_a_task_that_is_made_says_how_and_its_maker_makes_it(name: str, tmp_path: Path) -> None:
    assert "make.py" in (BUNDLED / name / "README.md").read_text(encoding="utf-8")
    make(name, tmp_path / "examples.jsonl")
    assert (tmp_path / "examples.jsonl").read_bytes() == (BUNDLED / name / "examples.jsonl").read_bytes()
    make(name, tmp_path / "other.jsonl", "--seed", 1)
    assert (tmp_path / "other.jsonl").read_bytes() != (tmp_path / "examples.jsonl").read_bytes()


def test_one_review_in_ten_is_unfavourable_in_each_split() -> None:
    task = load_task(BUNDLED / "reviews_skewed")
    counts = Counter(example.outputs["tone"] for example in examples_of(task))
    assert counts == {"positive": 252, "negative": 28}
    for split in (task.train, task.validation, task.test):
        rare = sum(example.outputs["tone"] == "negative" for example in split)
        assert rare / len(split) == pytest.approx(0.1, abs=0.01)
    reviews = {json.dumps(row) for row in rows_of(BUNDLED / "review_tone" / "examples.jsonl")}
    assert all(json.dumps(row) in reviews for row in rows_of(BUNDLED / "reviews_skewed" / "examples.jsonl"))
