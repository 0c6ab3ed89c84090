from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.field.tasks import TASKS, make_task
from optimizer.task.load import load_task

pytest.importorskip("promptolution", reason="the field's peers are not installed")

from experiments.field.promptolution_peers import _frame


def test_labels_are_in_small_letters_as_the_predictor_answers(tmp_path: Path, data: Path) -> None:
    labels = TASKS["agnews"]["outputs"]["section"]["choices"]
    (data / "agnews").mkdir()
    for part in ("train", "test"):
        rows = [{"input": f"{part} news {place}", "output": labels[place % 4]} for place in range(40)]
        (data / "agnews" / f"{part}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
        )
    task = load_task(make_task("agnews", data, 0, (20, 10, 10), tmp_path / "task"))
    frame = _frame(task, task.train)
    assert set(frame["y"]) == {label.lower() for label in labels}
    assert list(frame["x"]) == [example.inputs["article"] for example in task.train]
