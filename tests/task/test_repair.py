from __future__ import annotations

from typing import Any

import pytest

from optimizer.errors import TaskError
from optimizer.task.load import load_task
from optimizer.task.task import Task

from .conftest import WriteTask, lines, records

ALL = ["trim", "fold_case", "drop_blank", "drop_duplicates", "drop_conflicting"]
DIRTY: list[dict[str, Any]] = [
    {"message": " spaces around ", "intent": "bill"},
    {"message": "a label in capitals", "intent": "BILL"},
    {"message": "a label with spaces", "intent": "card "},
    {"message": "without a label", "intent": None},
    {"message": "  ", "intent": "card"},
    {"message": "without a key"},
    {"message": "twice", "intent": "loan"},
    {"message": "Twice ", "intent": "loan"},
    {"message": "contradicting", "intent": "loan"},
    {"message": "Contradicting", "intent": "card"},
    {"message": "contradicting", "intent": "loan"},
]


def load(write_task: WriteTask, repair: list[str], rows: list[dict[str, Any]] = DIRTY, **data: str) -> Task:
    files = {"examples.jsonl": lines(records(20) + rows)}
    return load_task(write_task(files, data={**(data or {"path": "examples.jsonl"}), "repair": repair}))


def texts(task: Task) -> dict[str, str]:
    examples = (*task.train, *task.validation, *task.test)
    return {e.inputs["message"]: e.outputs["intent"] for e in examples if not e.inputs["message"].startswith("message")}


def test_all_of_a_dirty_file_is_mended_and_told(write_task: WriteTask) -> None:
    task = load(write_task, ALL)
    assert texts(task) == {
        "spaces around": "bill",
        "a label in capitals": "bill",
        "a label with spaces": "card",
        "twice": "loan",
    }
    assert task.notes == (
        "examples.jsonl: trim took the spaces around a value from 4 rows",
        "examples.jsonl: fold_case wrote the label as in choices in 1 row",
        "examples.jsonl: drop_blank left out 3 rows",
        "drop_conflicting left out 3 rows",
        "drop_duplicates left out 1 row",
    )
    assert load(write_task, ALL[::-1]).fingerprint == task.fingerprint


def test_what_is_dirty_is_told_at_once_with_the_repairs_that_help(write_task: WriteTask) -> None:
    with pytest.raises(TaskError) as caught:
        load(write_task, [])
    for part in (
        "examples.jsonl:22: 'intent' is 'BILL'",
        "examples.jsonl:23: 'intent' is 'card '",
        "examples.jsonl:24: 'intent' is empty",
        "examples.jsonl:25: the input message is empty",
        "examples.jsonl:26: 'intent' is missing",
        "examples.jsonl:27 and examples.jsonl:28 have the same input 'Twice ' with the same outputs",
        "examples.jsonl:29 and examples.jsonl:30 have the same input 'Contradicting' with different outputs",
    ):
        assert part in str(caught.value)
    assert "repair: [fold_case, trim, drop_blank, drop_duplicates, drop_conflicting] under data" in str(caught.value)


@pytest.mark.parametrize("left_out", ALL)
def test_each_repair_mends_its_own_kind_only(write_task: WriteTask, left_out: str) -> None:
    repair = [name for name in ALL if name != left_out]
    if left_out == "trim":  # fold_case mends spaces around labels, too
        assert " spaces around " in texts(load(write_task, repair))
        return
    with pytest.raises(TaskError, match=rf"Or add repair: \[{left_out}\] under data"):
        load(write_task, repair)


def test_of_copies_in_two_splits_that_of_the_test_is_kept(write_task: WriteTask) -> None:
    files = {"train.jsonl": lines(records(14)), "test.jsonl": lines(records(6, 12))}
    data: dict[str, Any] = {"train": "train.jsonl", "test": "test.jsonl", "repair": ["drop_duplicates"]}
    task = load_task(write_task(files, data=data))
    assert (len(task.train) + len(task.validation), len(task.test)) == (12, 6)
    assert "drop_duplicates left out 2 rows of train" in task.notes


def test_a_misspelt_repair_is_told(write_task: WriteTask) -> None:
    with pytest.raises(TaskError, match=r"'data.repair.0': .*'drop_conflicting' \(got 'trimm'\)"):
        load(write_task, ["trimm"])


def test_from_python_no_key_of_a_file_is_named() -> None:
    with pytest.raises(TaskError) as caught:
        Task(examples=DIRTY, inputs=["message"], outputs={"intent": ["bill", "card", "loan"]}, instruction="Sort it.")
    assert "repair" not in str(caught.value)
