from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from optimizer import Task
from optimizer.errors import TaskError
from optimizer.task.load import load_task
from optimizer.task.slices import MOST_SLICES
from optimizer.types import Example

ROWS = [
    {"text": f"message {n}", "kind": ["a", "b"][n % 2], "language": ["fr", "en", None][n % 3], "number": n}
    for n in range(60)
]


def task(slices: Any, **changes: Any) -> Task:
    return Task(
        examples=ROWS, inputs=["text"], outputs={"kind": ["a", "b"]}, instruction="Sort it.", slices=slices, **changes
    )


def test_an_example_knows_its_slices(tmp_path: Path) -> None:
    made = task(["language", "kind"])
    by_text = {row["text"]: row for row in ROWS}
    for example in (*made.train, *made.validation, *made.test):
        row = by_text[example.inputs["text"]]
        assert example.slices == {"language": row["language"] or "(none)", "kind": row["kind"]}
    written = {"name": "t", "inputs": {"text": {}}, "outputs": {"kind": {"choices": ["a", "b"]}}, "metric": "choice"}
    written |= {"instruction": "Sort it.", "data": {"path": "rows.csv"}, "slices": ["language"]}
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(written))
    lines = [f"{row['text']},{row['kind']},{row['language'] or ''}" for row in ROWS]
    (tmp_path / "rows.csv").write_text("\n".join(["text,kind,language", *lines]))
    assert {example.slices["language"] for example in load_task(tmp_path).test} == {"fr", "en", "(none)"}


def test_slices_are_no_part_of_an_example() -> None:
    plain, sliced = task(None), task(["language"])
    assert sliced.fingerprint == plain.fingerprint
    assert sliced.test == plain.test
    assert Example.from_json(sliced.test[0].to_json()).slices == {}


def test_a_field_names_its_column_and_long_values_are_cut() -> None:
    rows = [{**row, "said": f"{'x' * 80} {n % 2}"} for n, row in enumerate(ROWS)]
    fields = {"text": "number", "kind": "kind"}
    made = Task(
        examples=rows, inputs=["text"], outputs={"kind": ["a", "b"]}, instruction="i", fields=fields, slices=["said"]
    )
    assert {len(example.slices["said"]) for example in made.test} == {60}
    with pytest.raises(TaskError, match=r"'text' has \d+ values"):
        Task(examples=rows, inputs=["text"], outputs={"kind": ["a", "b"]}, instruction="i", slices=["text"])


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        (["langage"], r"no column 'langage'\n.*did you mean 'language'"),
        (["number"], rf"'number' has 60 values, and at most {MOST_SLICES}"),
        (["language", "language"], "'language' is there twice"),
    ],
)
def test_what_is_no_slice_is_refused(slices: list[str], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        task(slices)
