from __future__ import annotations

import json
from dataclasses import replace as replaced
from pathlib import Path

import pytest

from optimizer.errors import TaskError
from optimizer.task.metrics.build import build_metric
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task
from optimizer.types import Example

OUTPUTS = {"y": FieldSpec()}
ONE, TWO = Example({"x": "1"}, {"y": "a"}), Example({"x": "2"}, {"y": "b"})


@pytest.fixture
def task(tmp_path: Path) -> Task:
    (tmp_path / "program.py").write_text("def build(): ...\n")
    metric = build_metric("exact_match", OUTPUTS, tmp_path)
    return Task.from_parts("t", "", "Do it.", {"x": FieldSpec()}, OUTPUTS, (ONE,), (TWO,), (), metric, tmp_path)


def test_the_fingerprint_ignores_what_does_not_change_scores(task: Task) -> None:
    other = task.changed(name="u", description="d", instruction="Do that.", notes=("n",), folder=Path("elsewhere"))
    assert other.fingerprint == task.fingerprint
    moved = task.changed(train=(replaced(ONE, origin="b.jsonl:9"),))
    assert moved.fingerprint == task.fingerprint
    assert len(task.fingerprint) == 16


def test_the_fingerprint_changes_with_what_changes_scores(task: Task, tmp_path: Path) -> None:
    variants = [
        task.changed(inputs={"x": FieldSpec(desc="said")}),
        task.changed(outputs={"y": FieldSpec(choices=("a", "b"))}),
        task.changed(train=(TWO,), validation=(ONE,)),
        task.changed(test=(TWO,)),
        task.changed(metric=build_metric("contains", OUTPUTS, tmp_path)),
        task.changed(metric=build_metric({"name": "numeric", "tolerance": 1}, OUTPUTS, tmp_path)),
        task.changed(metric=build_metric({"name": "numeric", "tolerance": 2}, OUTPUTS, tmp_path)),
        task.changed(program="program.py:build"),
        task.changed(program="program.py:other"),
    ]
    prints = [variant.fingerprint for variant in (task, *variants)]
    assert len(set(prints)) == len(prints)


def test_the_fingerprint_follows_the_programs_file(task: Task, tmp_path: Path) -> None:
    before = task.changed(program="program.py:build").fingerprint
    (tmp_path / "program.py").write_text("def build(): pass\n")
    assert task.changed(program="program.py:build").fingerprint != before
    with pytest.raises(TaskError, match=r"gone\.py: no such file"):
        assert task.changed(program="gone.py:build").fingerprint


def test_the_facts_name_what_changed(task: Task) -> None:
    def changed(other: Task) -> set[str]:
        return {name for name, fact in other.facts.items() if fact != task.facts[name]}

    assert changed(task.changed(description="d", notes=("n",))) == set()
    assert changed(task.changed(instruction="Do that.")) == {"instruction"}
    assert changed(task.changed(train=(TWO,), validation=(ONE,))) == {"train", "validation"}
    assert changed(task.changed(inputs={"x": FieldSpec(desc="said")})) == {"fields"}
    assert changed(task.changed(metric=build_metric("contains", OUTPUTS, task.folder))) == {"metric"}
    assert changed(task.changed(program="program.py:build")) == {"program"}
    assert json.loads(json.dumps(task.facts)) == task.facts
