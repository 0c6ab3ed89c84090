"""The slices that an example belongs to: its values in columns such as language or customer type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from optimizer.errors import did_you_mean
from optimizer.task.rows import Row
from optimizer.task.schema import TaskSpec
from optimizer.task.text import Problems
from optimizer.task.values import is_empty
from optimizer.types import Example

# A column of more values than these is an identity, not a kind of example.
MOST_SLICES = 50
NO_VALUE = "(none)"
_WIDTH = 60

Pairs = Sequence[tuple[Row, Example]]


def with_slices(parts: Mapping[str, Pairs], spec: TaskSpec, problems: Problems) -> dict[str, Pairs]:
    """Return the rows with examples that know their slices; columns that cannot be used are added to the problems."""
    every = [row for pairs in parts.values() for row, _ in pairs]
    columns = {name: _column(name, spec, every) for name in spec.slices}
    for name, column in columns.items():
        _check(name, column, every, problems)
    return {
        part: [
            (row, replace(example, slices={name: value_of(row, column) for name, column in columns.items()}))
            for row, example in pairs
        ]
        for part, pairs in parts.items()
    }


def value_of(row: Row, column: str) -> str:
    """Return the name of a row's slice by a column."""
    value = row.values.get(column)
    text = NO_VALUE if is_empty(value) else " ".join(str(value).split())
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def _column(name: str, spec: TaskSpec, rows: Iterable[Row]) -> str:
    """Return the column of a slice: a field's name stands for its column where no column has that name."""
    first = next(iter(rows), None)
    return name if first is not None and name in first.values else spec.fields.get(name, name)


def _check(name: str, column: str, rows: Sequence[Row], problems: Problems) -> None:
    there = {known for row in rows for known in row.values}
    if rows and column not in there:
        problems.add("slices", f"no column '{name}'", f"In its columns, {did_you_mean(name, there)}")
    elif (count := len({value_of(row, column) for row in rows})) > MOST_SLICES:
        what = f"'{name}' has {count} values, and at most {MOST_SLICES} slices are told apart"
        problems.add("slices", what, "Name a column of few values, such as a language or a kind of customer.")
