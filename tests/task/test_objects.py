from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import dspy
import numpy as np
import pandas as pd
import pytest

import optimizer
from optimizer.errors import TaskError
from optimizer.task.load import load_task
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task

from .conftest import WriteTask

TEAMS = ["billing", "delivery", "other"]
ROWS: list[dict[str, Any]] = [
    {"message": f"{word}: it is about {team}", "team": team, "level": place}
    for place, word in enumerate(["one", "two", "three", "four", "five", "six", "seven", "eight"])
    for team in TEAMS
]
FRAME = pd.DataFrame(ROWS)


def task_of(examples: object = FRAME, **changes: Any) -> Task:
    given = {"inputs": ["message"], "outputs": {"team": TEAMS}, "instruction": "Classify the message."}
    return Task(examples=examples, **{**given, **changes})


def whole(task: Task) -> list[tuple[str, str]]:
    return sorted((e.inputs["message"], e.outputs["team"]) for e in (*task.train, *task.validation, *task.test))


def test_every_form_of_the_same_examples_is_the_same_task(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    numbered = datasets.Features({"message": datasets.Value("string"), "team": datasets.ClassLabel(names=TEAMS)})
    plain = [{"message": row["message"], "team": row["team"]} for row in ROWS]
    forms: list[object] = [
        FRAME,
        ROWS,
        (dict(row) for row in ROWS),
        [dspy.Example(**row).with_inputs("message") for row in ROWS],
        datasets.Dataset.from_list(ROWS),
        datasets.Dataset.from_list([{**r, "team": TEAMS.index(r["team"])} for r in plain], features=numbered),
        tmp_path / "rows.csv",
        str(tmp_path / "rows.csv"),
        {"train": FRAME},
    ]
    tasks = [task_of(form) for form in forms]
    assert {task.fingerprint for task in tasks} == {tasks[0].fingerprint}
    assert whole(tasks[0]) == sorted((row["message"], row["team"]) for row in ROWS)
    assert repr(tasks[0]) == "Task 'task': message → team; 10 train, 7 validation, 7 test; exact_match"


def test_a_task_in_memory_is_what_its_file_is(write_task: WriteTask) -> None:
    folder = write_task()
    read = load_task(folder)
    assert isinstance(read, optimizer.Task)
    made = Task(
        examples=folder / "examples.jsonl",
        inputs=dict(read.inputs),
        outputs=dict(read.outputs),
        instruction=read.instruction,
        name=read.name,
        split={"train": len(read.train) / 20, "validation": len(read.validation) / 20, "test": len(read.test) / 20},
    )
    assert made.facts == read.facts


def test_sets_that_are_split_already() -> None:
    three = task_of({"train": ROWS[:12], "validation": FRAME[12:18], "test": ROWS[18:]})
    assert (len(three.train), len(three.validation), len(three.test)) == (12, 6, 6)
    assert three.train[0].origin == "examples['train'][0]"
    assert three.validation[0].origin == "examples['validation'] row 12"
    two = task_of({"train": ROWS[:18], "test": ROWS[18:]})
    assert (len(two.train) + len(two.validation), len(two.test)) == (18, 6)


@pytest.mark.parametrize(
    ("given", "spec"),
    [
        (TEAMS, FieldSpec(choices=tuple(TEAMS))),
        (FRAME["team"].unique(), FieldSpec(choices=tuple(TEAMS))),
        (set(TEAMS), FieldSpec(choices=tuple(TEAMS))),
        (Literal["billing", "delivery", "other"], FieldSpec(choices=tuple(TEAMS))),
        ({"choices": TEAMS, "desc": "who"}, FieldSpec(choices=tuple(TEAMS), desc="who")),
        (FieldSpec(desc="who"), FieldSpec(desc="who")),
        (str, FieldSpec()),
        (None, FieldSpec()),
        ("str", FieldSpec()),
    ],
)
def test_forms_of_an_output(given: object, spec: FieldSpec) -> None:
    assert task_of(outputs={"team": given}).outputs == {"team": spec}


def test_types_of_outputs_and_descriptions_of_inputs() -> None:
    rows = [{"a": f"text {n}", "b": n, "x": n / 2, "tags": ["p", f"q{n}"], "label": n % 2} for n in range(20)]
    outputs = {"x": float, "tags": list[str], "label": [0, 1]}
    task = task_of(rows, inputs={"a": "a text", "b": "int"}, outputs=outputs)
    assert task.inputs == {"a": FieldSpec(desc="a text"), "b": FieldSpec(type="int")}
    assert [spec.type for spec in task.outputs.values()] == ["float", "list[str]", "str"]
    assert task.outputs["label"].choices == ("0", "1")
    assert task.train[0].outputs["label"] in ("0", "1")
    assert task_of(rows, inputs="a", outputs="x").outputs == {"x": FieldSpec()}


def test_values_of_numpy_are_pythons() -> None:
    frame = FRAME.assign(level=FRAME["level"].astype("int64"), size=np.float32(1.5))
    frame["tags"] = [np.array(["a", "b"])] * len(frame)
    task = task_of(frame, outputs={"level": int, "size": "float", "tags": "list[str]"})
    assert {type(value) for value in task.train[0].outputs.values()} == {int, float, list}


def test_dspy_examples_tell_their_inputs() -> None:
    task = Task(
        examples=[dspy.Example(**row).with_inputs("message", "level") for row in ROWS], instruction="Classify it."
    )
    assert (list(task.inputs), list(task.outputs)) == (["message", "level"], ["team"])


def ours(example: Any, answer: Any) -> float:
    return float(example["team"] == answer["team"])


def dspys(gold: dspy.Example, prediction: dspy.Prediction, trace: object = None) -> bool:
    return bool(gold.team == prediction.team)


def gepas(gold: Any, prediction: Any, trace: Any, pred_name: Any, pred_trace: Any) -> dspy.Prediction:
    return dspy.Prediction(score=gold.team == prediction.team, feedback=f"level {gold.level}")


@pytest.mark.parametrize("metric", [ours, dspys, gepas, lambda e, a: (e.team == a.team, "told")])
def test_functions_as_metrics(metric: Any) -> None:
    task = task_of(metric=metric)
    example = task.train[0]
    assert task.metric(example, dict(example.outputs))[0] == 1.0
    assert task.metric(example, {"team": "none of them"})[0] == 0.0
    assert task.metric(example, None) == (0.0, "the answer could not be read")


def test_a_metric_sees_the_whole_row_and_cannot_change_it() -> None:
    def spoils(example: Any, answer: Any) -> tuple[float, str]:
        level = example.level
        example.team = "spoilt"
        return 0.5, f"level {level}"

    task = task_of(metric=spoils)
    example = task.train[0]
    assert task.metric(example, {"team": "other"}) == task.metric(example, {"team": "other"})
    assert example.outputs["team"] in TEAMS
    row = next(row for row in ROWS if row["message"] == example.inputs["message"])
    assert task.metric(example, {"team": "other"})[1] == f"level {row['level']}"


def test_the_metrics_source_is_part_of_the_fingerprint() -> None:
    assert task_of(metric=ours).fingerprint == task_of(metric=ours).fingerprint != task_of(metric=dspys).fingerprint


class Two(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.read = dspy.Predict(dspy.Signature("message -> topic", "Read it."))
        self.sort = dspy.Predict(dspy.Signature("topic -> team", "Sort it."))


def test_a_program_brings_its_instructions() -> None:
    task = task_of(program=Two(), instruction=None)
    assert task.instruction == "Read it.\n\nSort it."
    assert task.module is not None
    with pytest.raises(TaskError, match="both given"):
        task_of(program=Two())


def spoilt(column: str, value: object) -> pd.DataFrame:
    frame = FRAME.astype({column: object})
    frame.loc[3, column] = value
    return frame


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"examples": None}, ["examples are missing", "Give a DataFrame"]),
        ({"examples": 3}, ["examples is 3, of type int", "Give a DataFrame"]),
        ({"examples": FRAME[:0]}, ["examples is empty"]),
        ({"examples": [1]}, ["examples[0] is 1", "neither a dict nor a dspy.Example"]),
        ({"examples": FRAME.to_dict()}, ["the keys 'message', 'team', 'level'", "Its keys are train and test"]),
        ({"examples": pd.concat([FRAME, FRAME["team"]], axis=1)}, ["the column 'team' is there twice"]),
        ({"examples": "gone.csv"}, ["gone.csv: no such file"]),
        ({"examples": spoilt("team", float("nan"))}, ["examples row 3: 'team' is NaN", "frame.dropna(subset="]),
        ({"examples": spoilt("message", pd.NA)}, ["examples row 3: 'message' is empty"]),
        ({"examples": [{**ROWS[0], "team": float("nan")}]}, ["examples[0]: 'team' is NaN"]),
        ({"inputs": ["mesage"]}, ["no column 'mesage'", "did you mean 'message'?"]),
        ({"inputs": None}, ["inputs are missing", "columns message, team, level"]),
        ({"outputs": None}, ["outputs are missing", "outputs={'team': ["]),
        ({"outputs": 3}, ["outputs is 3, of type int"]),
        ({"outputs": {"team": 3}}, ["a field is 3, of type int"]),
        ({"outputs": {"team": "flot"}}, ["the type 'flot'", "did you mean 'float'?"]),
        ({"outputs": {"team": ["billing", "other"]}}, ["'team' is 'delivery', not one of the choices"]),
        ({"outputs": {"message": str}}, ["'message' is in inputs and in outputs"]),
        ({"instruction": None}, ["instruction is missing", "one sentence is enough"]),
        ({"metric": 3}, ["metric: 3 cannot be called", "exact_match"]),
        ({"metric": "exact"}, ["unknown metric 'exact'", "did you mean 'exact_match'?"]),
        ({"metric": lambda: 1}, ["takes neither (example, answer)"]),
        ({"split": {"train": 0.5}}, ["must sum to 1"]),
        ({"program": 3}, ["program is 3, of type int", "dspy.Module"]),
        ({"program": "gone.py:build"}, ["gone.py: no such file"]),
        ({"program": dspy.Module()}, ["has no predictor"]),
        ({"name": "my task"}, ["'name'", "use letters"]),
    ],
)
def test_what_is_wrong_is_said_once_and_with_a_remedy(changes: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(TaskError) as problem:
        task_of(**{"examples": FRAME, **changes})
    message = str(problem.value)
    assert [part for part in told if part not in message] == []
    assert problem.value.remedy or "; " in message
    assert "YAML" not in message


def test_a_failing_metric_is_named_with_the_example() -> None:
    task = task_of(metric=lambda example, answer: 1 / 0)
    with pytest.raises(TaskError, match=r"raised ZeroDivisionError: division by zero on \{'message'"):
        task.metric(task.train[0], {"team": "other"})
    task = task_of(metric=lambda example, answer: 87)
    with pytest.raises(TaskError, match="returned 87"):
        task.metric(task.train[0], {"team": "other"})
