"""From rows to examples: every value is checked against its field and brought to its type."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from optimizer.errors import did_you_mean
from optimizer.system.limits import check_depth, shorten
from optimizer.task.rows import Row
from optimizer.task.schema import FieldSpec
from optimizer.task.text import Problems, fold, parse_json
from optimizer.types import Example

VALUE = "Correct these in the data, or the field's type or choices in the task."
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Fields(Protocol):
    """The fields of a task, and the columns that they are read from where their names differ."""

    @property
    def inputs(self) -> Mapping[str, FieldSpec]:
        """The inputs by name."""

    @property
    def outputs(self) -> Mapping[str, FieldSpec]:
        """The outputs by name."""

    @property
    def fields(self) -> Mapping[str, str]:
        """The columns by field."""


def checked_rows(
    rows: Sequence[Row], fields: Fields, label: str, problems: Problems, also: Sequence[str] = ()
) -> list[tuple[Row, Example]]:
    """Return each row in which nothing is wrong, with its example; what is wrong in the others is added to `problems`.

    The columns in `also` are needed, too.
    """
    absent = _absent(rows, fields, also, label, problems)
    pairs = []
    for row in rows:
        wrong = _Wrong(row, fields.fields, absent)
        asked, expected = wrong.read(fields.inputs), wrong.read(fields.outputs)
        wrong.look_for_blanks(fields, asked, expected, [column for column in also if column not in absent])
        for problem, remedy, repair in wrong.problems:
            problems.add(row.origin, problem, remedy, repair)
        if not wrong.problems and not absent:
            pairs.append((row, Example(asked, expected, row.origin)))
    return pairs


def is_blank(row: Row, fields: Fields, also: Sequence[str] = ()) -> bool:
    """Whether a row lacks what an example needs: all of its inputs, one of its outputs, or a column in `also`."""

    def value(name: str) -> Any:
        return row.values.get(fields.fields.get(name, name))

    missing = any(value(name) is None for name in (*fields.inputs, *fields.outputs))
    empty = all(_is_blank(value(name)) for name in fields.inputs)
    without = any(_is_blank(value(name)) for name in fields.outputs)
    return missing or empty or without or any(is_empty(row.values.get(column)) for column in also)


def is_empty(value: object) -> bool:
    """Whether a value is none: missing, NaN, or blank text."""
    return value is None or _is_blank(value) or (isinstance(value, float) and math.isnan(value))


def coerce(spec: FieldSpec, value: Any) -> Any:
    """Return a value brought to its field's type; raises ValueError that says what is wrong with it."""
    if value is None:
        raise _MendableError("is empty", "drop_blank")
    if spec.choices is not None:
        return _label(spec, _text(value))
    return _READERS[spec.type](value)


def _absent(rows: Sequence[Row], fields: Fields, also: Sequence[str], label: str, problems: Problems) -> frozenset[str]:
    """Return the columns that are needed and no row has, each of them a problem; none where there are no rows."""
    there = {column for row in rows for column in row.values}
    needed = {name: fields.fields.get(name, name) for name in (*fields.inputs, *fields.outputs)} if rows else {}
    absent = {name: column for name, column in needed.items() if column not in there}
    hints = {name: did_you_mean(column, there) for name, column in absent.items()}
    for name, column in absent.items():
        hint = hints[name]
        # Where no column has a similar name they are all listed: once, for equal remedies are one.
        mapped = next(other for other in absent if hints[other] == hint)
        remedy = f"In its columns, {hint} Or map it in the task, as in fields: {{{mapped}: column}}."
        problems.add(label, f"no column '{column}' for the field '{name}'", remedy)
    unsplit = [column for column in also if rows and column not in there]
    for column in unsplit:
        remedy = f"In its columns, {did_you_mean(column, there)} Correct it under split."
        problems.add(label, f"no column '{column}' to split by", remedy)
    return frozenset((*absent.values(), *unsplit))


class _Wrong:
    """The values of one row, and what is wrong with it: (problem, remedy, the repair that would mend it)."""

    def __init__(self, row: Row, columns: Mapping[str, str], absent: frozenset[str]) -> None:
        self._row, self._columns, self._absent = row, columns, absent
        self.problems: list[tuple[object, str, str | None]] = []

    def read(self, specs: Mapping[str, FieldSpec]) -> dict[str, Any]:
        """Return the values that are right, brought to the fields' types."""
        values = {}
        for name, spec in specs.items():
            column = self._columns.get(name, name)
            if column in self._absent:
                continue
            if column not in self._row.values:
                what = f"'{column}' is missing; {did_you_mean(column, self._row.values)}"
                self.problems.append((what, VALUE, "drop_blank"))
                continue
            try:
                values[name] = coerce(spec, self._row.values[column])
            except ValueError as problem:
                self.problems.append((_InColumn(column, problem), VALUE, getattr(problem, "repair", None)))
        return values

    def look_for_blanks(
        self, fields: Fields, asked: Mapping[str, Any], expected: Mapping[str, Any], also: Sequence[str]
    ) -> None:
        """Take note of outputs without a value, of inputs that all are, and of the columns in `also`."""
        blank = [f"'{fields.fields.get(name, name)}' is empty" for name, value in expected.items() if _is_blank(value)]
        if asked.keys() == fields.inputs.keys() and all(map(_is_blank, asked.values())):
            blank.append(f"the input {', '.join(fields.inputs)} is empty")
        blank += [f"'{column}' is empty" for column in also if is_empty(self._row.values.get(column))]
        self.problems += [(what, VALUE, "drop_blank") for what in blank]


class _InColumn:
    """What is wrong with a value, after the name of its column; in words when it is shown."""

    def __init__(self, column: str, problem: ValueError) -> None:
        self._column, self._problem = column, problem
        self.key = (column, getattr(problem, "key", None) or str(problem))

    def __str__(self) -> str:
        return f"'{self._column}' {self._problem}"


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


class _MendableError(ValueError):
    """A value that a `repair` of the task would mend."""

    def __init__(self, what: str, repair: str) -> None:
        super().__init__(what)
        self.repair = repair


class _UnknownLabelError(ValueError):
    """Looks for the nearest label only when it is shown: of many mistakes a few are."""

    def __init__(self, text: str, choices: Iterable[str]) -> None:
        self.text, self.choices = text, choices
        self.key = text

    def __str__(self) -> str:
        return f"is {shorten(self.text)}, not one of the choices; {did_you_mean(self.text, self.choices)}"


def _label(spec: FieldSpec, text: str) -> str:
    choice = spec.by_fold.get(fold(text))
    if choice == text:
        return text
    if choice is not None:
        repair = "trim" if text.strip() == choice else "fold_case"
        what = f"is {text!r}, which differs from the choice only in case or spaces; write {choice!r}"
        raise _MendableError(what, repair)
    if not text.strip():
        raise _MendableError("is empty", "drop_blank")
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
    comma = isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]+,[0-9]+\s*", value[:40])
    hint = "; a decimal comma is written as a point" if comma else ""
    raise ValueError(f"is {shorten(value)}, {_kind(value)}, not a finite number{hint}")


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
