"""From what a person holds in Python to a Task: data frames, lists, data sets, functions and programs."""

from __future__ import annotations

import math
import os
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from optimizer.config.strict import validate
from optimizer.errors import TaskError, did_you_mean
from optimizer.system.dspy_private import says_its_inputs
from optimizer.system.limits import shorten
from optimizer.task.data import read_rows
from optimizer.task.hub import read_hub, rows_of_dataset
from optimizer.task.load import checked_task
from optimizer.task.metrics.base import BuiltIn, Metric
from optimizer.task.metrics.build import build_metric
from optimizer.task.metrics.function import FunctionMetric, function_metric
from optimizer.task.metrics.judge import JudgeMetric
from optimizer.task.metrics.own import PythonMetric
from optimizer.task.metrics.running import RunningMetric
from optimizer.task.module import predictors_of
from optimizer.task.parts import make_parts
from optimizer.task.rows import Reading, Row
from optimizer.task.schema import FieldSpec, FieldType, TaskSpec
from optimizer.task.task import Task
from optimizer.task.text import refuse
from optimizer.task.userfile import find_file
from optimizer.types import Example

if TYPE_CHECKING:
    import dspy

SOURCE = "Task"
_FORMS = (
    "Give a DataFrame, a list of dicts or of dspy.Example, a datasets.Dataset, the path of a data file, "
    "or {'train': …, 'validation': …, 'test': …} of these."
)
_PARTS = ({"train"}, {"train", "test"}, {"train", "validation", "test"})
_TYPES: Mapping[object, str] = {str: "str", int: "int", float: "float", bool: "bool", dict: "json", list: "json"}
_NAMES: tuple[str, ...] = get_args(FieldType)
_MODULE = "Give an instance of a dspy.Module with at least one predictor, or 'program.py:build'."


def make_task(
    examples: object, inputs: object, outputs: object, spec: Mapping[str, Any], metric: object, program: object
) -> Task:
    """Return the task that `Task(…)` describes; `spec` are the keys that a task.yaml has, too.

    Raises TaskError with one message for whatever is wrong.
    """
    named = _parts(examples)
    reading = Reading()
    parts = {part: rows_of(value, label, reading) for part, (value, label) in named.items()}
    reading.problems.refuse()
    first = next(iter(parts.values()))[0].values
    if inputs is None and outputs is None:
        inputs, outputs = _declared(examples)
    module, file = _program(program)
    spec = {**spec, "inputs": _inputs(inputs, first), "outputs": _outputs(outputs, first)}
    written = validate(TaskSpec, {**spec, "instruction": _instruction(spec["instruction"], module)}, SOURCE, TaskError)
    columns = [written.fields.get(name, name) for name in (*written.inputs, *written.outputs)]
    for rows in parts.values():
        _refuse_missing(rows, [*columns, *filter(None, (written.split.group, written.split.time))])
    read = {part: (rows, named[part][1]) for part, rows in parts.items()}
    ready = make_parts(read, written, reading.problems, notes=reading.notes)
    reading.problems.refuse()
    scorer = _metric(metric, written.outputs, parts, ready.examples)
    return checked_task(written, ready, scorer, SOURCE, Path(), file, module)


def rows_of(examples: object, label: str, reading: Reading) -> list[Row]:
    """Return the rows of one set of examples; `label` names it in messages. Raises TaskError for what is none."""
    if isinstance(examples, (str, os.PathLike)):
        name = str(examples)
        rows = read_hub(name[3:], reading) if name.startswith("hf:") else read_rows(Path(name), name, reading)
    elif hasattr(examples, "columns") and hasattr(examples, "to_dict"):
        rows = _rows_of_frame(examples, label)
    elif hasattr(examples, "column_names") and hasattr(examples, "features"):
        rows = rows_of_dataset(examples, label)
    elif isinstance(examples, Iterable) and not isinstance(examples, (Mapping, bytes)):
        rows = [_row(item, f"{label}[{place}]") for place, item in enumerate(examples)]
    else:
        raise TaskError(f"{label} is {shorten(examples)}, {_kind(examples)}", _FORMS)
    if not rows and not len(reading.problems):
        raise TaskError(f"{label} is empty", "Give labelled examples; some dozens at least.")
    return [Row({name: _plain(value) for name, value in row.values.items()}, row.origin) for row in rows]


def _parts(examples: object) -> dict[str, tuple[object, str]]:
    """Return each set of examples with its name for messages, by part: {'all'}, or as a task.yaml has them."""
    if examples is None:
        raise TaskError("examples are missing", _FORMS)
    if not isinstance(examples, Mapping):
        return {"all": (examples, "examples")}
    if set(examples) not in _PARTS:
        what = f"examples is a mapping with the keys {', '.join(map(repr, examples)) or '(none)'}"
        raise TaskError(what, f"Its keys are train and test, and validation if you have one. {_FORMS}")
    if len(examples) == 1:
        return {"all": (examples["train"], "examples['train']")}
    return {
        part: (examples[part], f"examples[{part!r}]") for part in ("train", "validation", "test") if part in examples
    }


def _rows_of_frame(frame: Any, label: str) -> list[Row]:
    names = [str(column) for column in frame.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TaskError(f"{label}: the column '{twice[0]}' is there twice", "Rename or drop one of them.")
    records = frame.to_dict("records")
    return [
        Row(dict(zip(names, record.values(), strict=True)), f"{label} row {index}")
        for index, record in zip(frame.index, records, strict=True)
    ]


def _row(item: object, origin: str) -> Row:
    if hasattr(item, "toDict"):  # a dspy.Example
        item = item.toDict()
    if not isinstance(item, Mapping):
        raise TaskError(f"{origin} is {shorten(item)}, {_kind(item)}, neither a dict nor a dspy.Example", _FORMS)
    return Row({str(name): value for name, value in item.items()}, origin)


def _plain(value: Any) -> Any:
    """Return a value of numpy's or pandas' as one of Python's; what they write for a missing one is NaN."""
    if type(value).__name__ in {"NAType", "NaTType"}:
        return math.nan
    return value.tolist() if hasattr(value, "dtype") and hasattr(value, "tolist") else value


def _refuse_missing(rows: Sequence[Row], columns: Sequence[str]) -> None:
    missing = [
        f"{row.origin}: '{column}' is NaN"
        for row in rows
        for column in columns
        if isinstance(value := row.values.get(column), float) and math.isnan(value)
    ]
    names = ", ".join(map(repr, dict.fromkeys(columns)))
    refuse(missing, f"Fill such values, or drop their rows, as in frame.dropna(subset=[{names}]).")


def _declared(examples: object) -> tuple[object, object]:
    """Return the inputs and the outputs that a list of dspy.Examples tells, (None, None) where it tells none."""
    if isinstance(examples, Mapping):
        examples = next(iter(examples.values()))
    first: Any = examples[0] if isinstance(examples, Sequence) and not isinstance(examples, str) else None
    if not hasattr(first, "toDict") or not says_its_inputs(first):
        return None, None
    return list(first.inputs().keys()), list(first.labels().keys())


def _inputs(names: object, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs as a task.yaml has them; a text beside a name describes it, if it is no type."""
    named = _named("inputs", names, columns)
    described = {name: spec for name, spec in named.items() if isinstance(spec, str) and spec not in _NAMES}
    return {name: {"desc": spec} if name in described else _spec(spec) for name, spec in named.items()}


def _outputs(names: object, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs as a task.yaml has them; a text beside a name is its type."""
    named = _named("outputs", names, columns)
    for name, spec in named.items():
        if isinstance(spec, str) and spec not in _NAMES:
            remedy = f"{did_you_mean(spec, _NAMES)} Choices are a list, a description is {{'desc': {spec!r}}}."
            raise TaskError(f"outputs: '{name}' has the type {spec!r}, which there is not", remedy)
    return {name: _spec(spec) for name, spec in named.items()}


def _named(side: str, names: object, columns: Mapping[str, Any]) -> dict[str, Any]:
    example = "inputs=['message']" if side == "inputs" else "outputs={'team': ['billing', 'delivery']}"
    if names is None:
        remedy = f"Name them, as in {example}; the examples have the columns {', '.join(columns)}."
        raise TaskError(f"{side} are missing", remedy)
    if isinstance(names, str):
        return {names: None}
    if isinstance(names, Mapping):
        return dict(names)
    if isinstance(names, Iterable):
        return dict.fromkeys(names)
    raise TaskError(f"{side} is {shorten(names)}, {_kind(names)}", f"Give names, as in {example}.")


def _spec(spec: Any) -> Any:
    """Return one field as a task.yaml has it: None, a type, its choices, or a mapping."""
    if spec is None or isinstance(spec, Mapping):
        return spec
    if isinstance(spec, FieldSpec):
        return spec.model_dump()
    if isinstance(spec, str):
        return {"type": spec}
    if isinstance(spec, type) and spec in _TYPES:
        return {"type": _TYPES[spec]}
    if isinstance(spec, types.GenericAlias):
        return {"type": str(spec)}
    if get_origin(spec) is Literal:
        spec = get_args(spec)
    spec = spec.tolist() if hasattr(spec, "tolist") else spec  # numpy's and pandas'
    if isinstance(spec, Iterable):
        choices = sorted(spec) if isinstance(spec, (set, frozenset)) else spec
        # Labels that are numbers in the data are their text, as they are when a file is read.
        return {"choices": [str(c) if isinstance(c, int) and not isinstance(c, bool) else c for c in choices]}
    raise TaskError(f"a field is {shorten(spec)}, {_kind(spec)}", f"Give choices, or a type: {', '.join(_NAMES)}.")


def _instruction(instruction: object, module: dspy.Module | None) -> object:
    if module is None and instruction is None:
        remedy = "Give your prompt of today, one sentence is enough: instruction='Classify the message.'"
        raise TaskError("instruction is missing", remedy)
    if module is None:
        return instruction
    if instruction is not None:
        remedy = "Leave one of them out: what the program's signatures say is its instruction."
        raise TaskError("instruction and a program in memory are both given", remedy)
    return "\n\n".join(predictor.signature.instructions for _, predictor in predictors_of(module))


def _program(program: object) -> tuple[dspy.Module | None, str | None]:
    """Return (a module, None) or (None, 'file.py:function'); (None, None) for one predictor over the fields."""
    if program is None or isinstance(program, str):
        if program is not None:
            find_file(program, Path(), f"{SOURCE}: program")
        return None, program
    import dspy

    if not isinstance(program, dspy.Module):
        raise TaskError(f"program is {shorten(program)}, {_kind(program)}, not a dspy.Module", _MODULE)
    if not predictors_of(program):
        raise TaskError(f"the program {type(program).__name__} has no predictor to optimize", _MODULE)
    return program, None


def _metric(
    metric: object,
    outputs: Mapping[str, FieldSpec],
    parts: Mapping[str, Sequence[Row]],
    ready: Mapping[str, Sequence[Example]],
) -> Metric:
    if isinstance(metric, (str, Mapping)):
        return build_metric(metric, outputs, Path(), SOURCE)
    if isinstance(metric, (BuiltIn, FunctionMetric, JudgeMetric, PythonMetric, RunningMetric)):
        return metric
    rows = {
        example.id: row.values
        for part, examples in ready.items()
        for row, example in zip(parts[part], examples, strict=True)
    }
    return function_metric(metric, rows)


def _kind(value: object) -> str:
    return f"of type {type(value).__name__}"
