"""Answers that people have scored: a data file with a task's inputs, an answer, and scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optimizer.errors import TaskError, did_you_mean
from optimizer.system.limits import shorten
from optimizer.task.metrics.rubric import Criterion, bare_name
from optimizer.task.rows import Row
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task
from optimizer.task.text import Problems, fold, refuse
from optimizer.task.values import checked_rows, coerce
from optimizer.types import Example

_SCORES = "Scores are numbers from 0 to 1, or grades of the rubric's scale."


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """An answer to an example, and what people gave it, in [0, 1]: in all, and for criteria by their names."""

    example: Example
    answer: Mapping[str, Any]
    score: float
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a data file has what: the `answers` to the outputs, the `score` (None: nowhere), and other `fields`.

    Without `answers` they stand in the outputs' own columns, and no expected answer is known. `fields` maps a field of
    the task to the column that it is read from, where their names differ.
    """

    answers: Mapping[str, str] = field(default_factory=dict)
    score: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Fields:
    inputs: Mapping[str, FieldSpec]
    outputs: Mapping[str, FieldSpec]
    fields: Mapping[str, str]


def scored_answers(
    rows: Sequence[Row], task: Task, criteria: Mapping[str, Criterion], columns: Columns, label: str
) -> list[ScoredAnswer]:
    """Return the answers that people have scored; rows without a score are left out.

    A column that bears a criterion's name holds its scores. Where there is no column of the whole score, it is the mean
    of the criteria's, by their weights. Raises TaskError for a column that is not there, and scores that are none.
    """
    answer_columns = columns.answers or {name: columns.fields.get(name, name) for name in task.outputs}
    known = list(dict.fromkeys(column for row in rows for column in row.values))
    for column in (*answer_columns.values(), *filter(None, [columns.score])):
        if column not in known:
            raise TaskError(f"{label}: no column '{column}'", f"In its columns, {did_you_mean(column, known)}")
    # A field of the task's may be called as a criterion is: its column holds values, not scores.
    taken = {columns.fields.get(name, name) for name in (*task.inputs, *task.outputs)} | set(answer_columns.values())
    named = {bare_name(column): column for column in known if column not in taken}
    by_criterion = {name: named[bare_name(name)] for name in criteria if bare_name(name) in named}
    if columns.score is None and len(by_criterion) < len(criteria):
        missing = next(name for name in criteria if name not in by_criterion)
        what = f"{label}: no column holds people's scores: none is named, and the criterion '{missing}' has none"
        raise TaskError(what, "Name the column: --scores COLUMN.")
    needed = list(by_criterion.values()) if columns.score is None else [columns.score]
    rows = [row for row in rows if all(not _is_blank(row.values.get(column)) for column in needed)]
    if not rows:
        raise TaskError(f"{label}: no answer has a score in {', '.join(needed)}", _SCORES)
    problems = Problems()
    fields = _Fields(task.inputs, task.outputs if columns.answers else {}, columns.fields)
    examples = [example for _, example in checked_rows(rows, fields, label, problems)]
    problems.refuse()
    parts = {name: _shares(rows, column, criteria[name], label) for name, column in by_criterion.items()}
    whole = _whole(rows, columns.score, criteria, label) or _weighted(parts, criteria)
    return [
        ScoredAnswer(
            example,
            {name: _answer(task, name, row.values.get(column)) for name, column in answer_columns.items()},
            whole[at],
            {name: part for name, shares in parts.items() if (part := shares[at]) is not None},
        )
        for at, (row, example) in enumerate(zip(rows, examples, strict=True))
    ]


def _whole(
    rows: Sequence[Row], column: str | None, criteria: Mapping[str, Criterion], label: str
) -> list[float] | None:
    if column is None:
        return None
    return [share for share in _shares(rows, column, _shared(criteria), label) if share is not None]


def _shared(criteria: Mapping[str, Criterion]) -> Criterion | None:
    """Return a criterion with the scale of all criteria, else with that of those in numbers; None if they differ."""
    for some in (list(criteria.values()), [one for one in criteria.values() if one.is_numeric]):
        if len({criterion.levels for criterion in some}) == 1:
            return some[0]
    return None


def _weighted(parts: Mapping[str, Sequence[float | None]], criteria: Mapping[str, Criterion]) -> list[float]:
    total = sum(criterion.weight for criterion in criteria.values())
    columns = [[(share or 0.0) * criteria[name].weight / total for share in shares] for name, shares in parts.items()]
    return [min(1.0, sum(values)) for values in zip(*columns, strict=True)]


def _shares(rows: Sequence[Row], column: str, criterion: Criterion | None, label: str) -> list[float | None]:
    """Return a column's scores in [0, 1]; None where one is blank.

    They are on the criterion's scale if each lies on it and one of them is not within 0 to 1.
    """
    values = [row.values.get(column) for row in rows]
    if criterion is not None and not criterion.is_numeric:
        levels = {fold(level): criterion.share(number) for number, level in enumerate(criterion.levels)}
        named = [None if _is_blank(value) else levels.get(fold(str(value)), math.nan) for value in values]
        if not any(share is not None and math.isnan(share) for share in named):
            return named
    numbers = [None if _is_blank(value) else _number(value) for value in values]
    low, high = (0.0, 1.0)
    if criterion is not None and criterion.is_numeric and any(number is not None and number > 1 for number in numbers):
        low, high = float(criterion.levels[0]), float(criterion.levels[-1])
    problems = [
        f"{row.origin}: '{column}' is {shorten(value)}, not from {low:g} to {high:g}"
        for row, value, number in zip(rows, values, numbers, strict=True)
        if number is not None and not low <= number <= high
    ]
    refuse(problems, _SCORES)
    return [None if number is None else (number - low) / (high - low) for number in numbers]


def _number(value: Any) -> float:
    """Return a value as a number, NaN for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _answer(task: Task, name: str, value: Any) -> Any:
    """Return an answer as a program would give it; as it stands where it is not of the field's type."""
    try:
        return coerce(task.outputs[name], value)
    except ValueError:
        return "" if value is None else value
