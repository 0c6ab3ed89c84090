from __future__ import annotations

from typing import Any

import pytest

from optimizer.config.strict import validate
from optimizer.errors import TaskError
from optimizer.task.schema import RESERVED, DataSpec, FieldSpec, SplitSpec, TaskFile

GOOD: dict[str, Any] = {
    "name": "tiny",
    "inputs": {"message": {}},
    "outputs": {"intent": {"choices": ["a", "b"]}},
    "instruction": "Classify.",
    "data": {"path": "examples.jsonl"},
    "metric": "exact_match",
}


def parse(**changes: Any) -> TaskFile:
    return validate(TaskFile, GOOD | changes, "task.yaml", TaskError)


def test_defaults() -> None:
    task = parse()
    assert task.split == SplitSpec(train=0.4, validation=0.3, test=0.3, seed=0)
    assert (task.description, task.fields, task.program) == ("", {}, None)
    assert task.inputs["message"] == FieldSpec(desc="", type="str", choices=None, definitions={})


def test_a_field_without_anything_said_is_text() -> None:
    assert parse(inputs={"message": None}).inputs["message"].type == "str"


def test_the_line_end_of_a_yaml_block_is_no_part_of_the_instruction() -> None:
    assert parse(instruction="Classify.\nShortly.\n").instruction == "Classify.\nShortly."


def test_definitions_belong_to_choices() -> None:
    spec = parse(outputs={"intent": {"choices": ["a", "b"], "definitions": {"a": "first"}}}).outputs["intent"]
    assert spec.definitions == {"a": "first"}


@pytest.mark.parametrize(
    "data",
    [
        {"path": "a.csv"},
        {"hf": "owner/name"},
        {"train": "a.csv", "test": "b.csv"},
        {"train": "a.csv", "validation": "c.csv", "test": "b.csv"},
    ],
)
def test_data_forms(data: dict[str, str]) -> None:
    assert parse(data=data).data == DataSpec(**data)


OUT = {"choices": ["a", "b"]}
BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"outputs": {"x": {"choices": [True, False]}}}, ["outputs.x", "True as bool", 'quote it, for example "yes"']),
    ({"outputs": {"x": {"choices": ["a", 1]}}}, ["1 as int", 'quote it, for example "1"']),
    ({"outputs": {"x": {"choices": ["a", None]}}}, ['quote it, for example "null"']),
    ({"outputs": {"x": {**OUT, "definitions": {False: "b"}}}}, ["definitions", 'for example "no"']),
    ({"outputs": {"x": {"choices": ["a"]}}}, ["at least 2 labels, not 1"]),
    ({"outputs": {"x": {"choices": "a, b"}}}, ["outputs.x.choices", "'a, b'"]),
    ({"outputs": {"x": {"choices": ["a", "A"]}}}, ["'a' and 'A' differ at most in case", "rename or remove"]),
    ({"outputs": {"x": {"choices": ["a", "a"]}}}, ["'a' and 'a'"]),
    ({"outputs": {"x": {"choices": ["a", " b"]}}}, ["' b'", "trim it"]),
    ({"outputs": {"x": {"choices": ["a", ""]}}}, ["''", "empty"]),
    ({"outputs": {"x": {**OUT, "type": "int"}}}, ["cannot be int", "leave out 'type'"]),
    ({"outputs": {"x": {**OUT, "definitions": {"zz": "?"}}}}, ["'zz' is not a choice", "known: a, b"]),
    ({"outputs": {"x": {"definitions": {"a": "?"}}}}, ["add choices"]),
    ({"outputs": {"x": {"type": "number"}}}, ["outputs.x.type", "'number'", "'float'"]),
    ({"outputs": {"x": {"choice": ["a", "b"]}}}, ["outputs.x.choice", "did you mean 'choices'"]),
    ({"outputs": {}}, ["'outputs' needs at least one field"]),
    ({"inputs": {"my text": {}}}, ["'my text' cannot be a field's name", "map the column under 'fields'"]),
    ({"inputs": {"class": {}}}, ["'class' cannot be a field's name"]),
    ({"inputs": {"_x": {}}}, ["'_x' cannot be a field's name"]),
    ({"inputs": {"signature": {}}}, ["'signature' is taken by DSPy", "rename it"]),
    ({"inputs": {"intent": {}}}, ["'intent' is in inputs and in outputs"]),
    ({"fields": {"mesage": "text"}}, ["'mesage' is not an input or output", "did you mean 'message'"]),
    ({"fields": {"message": "intent"}}, ["'message' and 'intent' are both read from the column 'intent'"]),
    ({"data": {}}, ["give one of path, hf, folder, sql and mlflow", "not nothing"]),
    ({"data": {"train": "a.csv"}}, ["not train"]),
    ({"data": {"path": "a", "test": "b"}}, ["not path, test"]),
    ({"split": {"train": 0.5}}, ["sum to 1, not 1.1"]),
    ({"split": {"train": 0, "validation": 0.5, "test": 0.5}}, ["split.train", "greater than 0", "got 0"]),
    ({"split": {"train": float("nan")}}, ["split.train", "finite"]),
    ({"split": {"seed": "x"}}, ["split.seed", "'x'"]),
    ({"name": "a/b"}, ["'name'", "'a/b'", "letters, digits"]),
    ({"instruction": "  "}, ["'instruction'", "write the seed prompt"]),
    ({"metrics": "choice"}, ["unknown key 'metrics'", "did you mean 'metric'"]),
]


@pytest.mark.parametrize(("changes", "parts"), BAD)
def test_refuses(changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(TaskError) as caught:
        parse(**changes)
    message = str(caught.value)
    assert message.startswith("task.yaml: ")
    for part in parts:
        assert part in message


def test_every_name_that_dspy_takes_is_reserved() -> None:
    import dspy

    taken = {name for kind in (dspy.Signature, type(dspy.Signature)) for name in dir(kind) if not name.startswith("_")}
    assert taken <= RESERVED
