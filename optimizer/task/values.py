"""From rows to examples: every value is checked against its field and brought to its type."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from optimizer.errors import TaskError, did_you_mean
from optimizer.system.limits import check_depth, shorten
from optimizer.task.data import Row
from optimizer.task.schema import FieldSpec
from optimizer.task.text import SHOWN, fold, parse_json, refuse
from optimizer.types import Example

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def to_examples(
    rows: Sequence[Row],
    inputs: Mapping[str, FieldSpec],
    outputs: Mapping[str, FieldSpec],
    columns: Mapping[str, str],
    label: str,
) -> tuple[Example, ...]:
    """Return the rows as examples; `columns` maps a field to its column where their names differ.

    Raises TaskError for a column that no row has, else one that shows the first five values that are wrong.
    """
    _find_columns(rows, [*inputs, *outputs], columns, label)
    examples: list[Example] = []
    problems: list[str] = []
    for row in rows:
        shown = len(problems) < SHOWN
        asked, wrong_in = _values(row, inputs, columns, shown)
        expected, wrong_out = _values(row, outputs, columns, shown)
        blank = [f"'{columns.get(name, name)}' is empty" for name, value in expected.items() if _is_blank(value)]
        if not wrong_in and all(map(_is_blank, asked.values())):
            blank.append(f"the input {', '.join(inputs)} is empty")
        problems += [f"{row.origin}: {what}" for what in (*wrong_in, *wrong_out, *blank)]
        examples.append(Example(asked, expected, row.origin))
    refuse(problems, "Correct these in the data, or the field's type or choices in the task.")
    return tuple(examples)


def coerce(spec: FieldSpec, value: Any) -> Any:
    """Return a value brought to its field's type; raises ValueError that says what is wrong with it."""
    if value is None:
        raise ValueError("is empty")
    if spec.choices is not None:
        return _label(spec, _text(value))
    return _READERS[spec.type](value)


def _find_columns(rows: Sequence[Row], names: Sequence[str], columns: Mapping[str, str], label: str) -> None:
    there = {column for row in rows for column in row.values}
    for name in names:
        column = columns.get(name, name)
        if column not in there:
            hint = did_you_mean(column, there)
            remedy = f"In its columns, {hint} Or map it in the task, as in fields: {{{name}: column}}."
            raise TaskError(f"{label}: no column '{column}' for the field '{name}'", remedy)


def _values(
    row: Row, specs: Mapping[str, FieldSpec], columns: Mapping[str, str], shown: bool
) -> tuple[dict[str, Any], list[str]]:
    """Return the values, and what is wrong with the others: in words if it is `shown`."""
    values, problems = {}, []
    for name, spec in specs.items():
        column = columns.get(name, name)
        if column not in row.values:
            problems.append(f"'{column}' is missing; {did_you_mean(column, row.values)}")
            continue
        try:
            values[name] = coerce(spec, row.values[column])
        except ValueError as problem:
            problems.append(f"'{column}' {problem}" if shown else "")
    return values, problems


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


class _UnknownLabelError(ValueError):
    """Looks for the nearest label only when it is shown: of many mistakes a few are."""

    def __init__(self, text: str, choices: Iterable[str]) -> None:
        self.text, self.choices = text, choices

    def __str__(self) -> str:
        return f"is {shorten(self.text)}, not one of the choices; {did_you_mean(self.text, self.choices)}"


def _label(spec: FieldSpec, text: str) -> str:
    choice = spec.by_fold.get(fold(text))
    if choice == text:
        return text
    if choice is not None:
        raise ValueError(f"is {text!r}, which differs from the choice only in case or spaces; write {choice!r}")
    if not text.strip():
        raise ValueError("is empty")
    raise _UnknownLabelError(text, spec.by_fold.values())


def _text(value: Any) -> str:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"is {shorten(value)}, with half a surrogate pair; write the whole character") from None
        return value
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    raise ValueError(f'is {shorten(value)}, {_kind(value)}, not text; write it as "…"')


def _int(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,1000}\s*", value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**1000:  # as of a text
        return value
    raise ValueError(f"is {shorten(value)}, {_kind(value)}, not a whole number")


def _float(value: Any) -> float:
    if isinstance(value, (int, float, str)) and not isinstance(value, bool) and "_" not in str(value):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise ValueError(f"is {shorten(value)}, {_kind(value)}, not a finite number")


def _bool(value: Any) -> bool:
    if isinstance(value, (bool, int, str)) and (truth := _TRUTH.get(fold(str(value)))) is not None:
        return truth
    raise ValueError(f"is {shorten(value)}, {_kind(value)}, not true or false (or yes, no, 1, 0)")


def _list(value: Any) -> list[str]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = parse_json(value)
        except ValueError as problem:
            raise ValueError(f"is {shorten(value)}, a list that cannot be read ({problem})") from None
    elif isinstance(value, str):
        value = [item.strip() for item in value.split(",") if item.strip()]
    if isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value):
        return [_text(item) for item in value]
    raise ValueError(f"is {shorten(value)}, {_kind(value)}, not a list of texts")


def _json(value: Any) -> Any:
    parsed = value
    try:
        if isinstance(value, str):
            parsed = parse_json(value)
        check_depth(parsed)
        json.dumps(parsed, allow_nan=False)
    except (ValueError, TypeError) as problem:
        raise ValueError(f"is {shorten(value)}, which is not JSON ({problem})") from None
    if isinstance(parsed, (dict, list)):
        return parsed
    raise ValueError(f"is {shorten(value)}, {_kind(value)}, not a JSON object or array")


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "str": _text,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "list[str]": _list,
    "json": _json,
}
