"""What rows are split by besides their outputs: the group that stays together, or the time that orders them."""

from __future__ import annotations

import datetime as dt
import email.utils
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.system.limits import shorten
from optimizer.task.rows import Row
from optimizer.task.schema import SplitSpec
from optimizer.task.text import Problems, fold_all
from optimizer.task.values import is_empty
from optimizer.types import canonical_json

Key = str | float
_TIME = 'Write times as ISO 8601, such as "2024-05-31" or "2024-05-31T17:00:00Z", or all of them as numbers.'
_GERMAN = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(.*)")


def column_of(spec: SplitSpec, columns: Mapping[str, str], there: Sequence[str]) -> str | None:
    """Return the column that rows are split by; a field's name stands for its column where no column has that name."""
    name = spec.group or spec.time
    return columns.get(name, name) if name is not None and name not in there else name


def keys_of(rows: Sequence[Row], column: str, is_time: bool, problems: Problems) -> list[Key]:
    """Return the key of each row: a text for groups, a number for times.

    Groups that differ in case or spaces only have the same. Times are seconds, or the number that is written.
    Times that cannot be read, and numbers beside dates, are added to the problems; those that are missing are not.
    """
    values = [row.values.get(column) for row in rows]
    if not is_time:
        return [canonical_json(fold_all(_grouped(value))) for value in values]
    times = [(number := _number(value), _instant(value) if number is None else None) for value in values]
    keys: list[Key] = []
    mixed = {number is None for number, instant in times if number is not None or instant is not None} == {True, False}
    for row, value, (number, instant) in zip(rows, values, times, strict=True):
        if is_empty(value):
            pass  # which is told where columns are checked
        elif number is None and instant is None:
            problems.add(row.origin, f"'{column}' is {shorten(value, 40)}, which is no time", _TIME)
        elif number is not None and mixed:
            problems.add(row.origin, f"'{column}' is the number {shorten(value, 40)}, and a date in other rows", _TIME)
        keys.append(next((key for key in (number, instant) if key is not None), 0.0))
    return keys


def _grouped(value: Any) -> Any:
    # 7 in a workbook and "7" in a table are the same customer.
    return str(value) if isinstance(value, (int, float)) else value


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?\d{1,300}(?:\.\d{1,300})?\s*", value, re.A):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _instant(value: Any) -> float | None:
    """Return the seconds since 1970 of a date or a text; a time without a zone is taken as UTC."""
    if isinstance(value, str):
        value = _parsed(value.strip())
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    if not isinstance(value, dt.datetime):
        return None
    try:
        zoned = value if value.utcoffset() is not None else value.replace(tzinfo=dt.UTC)
        return (zoned - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)).total_seconds()
    except (OverflowError, ValueError):
        return None


def _parsed(text: str) -> dt.datetime | None:
    """Return the time that a text says: ISO 8601, its date also as 2024/05/31 or 31.05.2024, or as mails have it."""
    if german := _GERMAN.fullmatch(text):
        text = f"{german[3]}-{german[2]:0>2}-{german[1]:0>2}{german[4]}"
    elif re.match(r"\d{4}/\d{2}/\d{2}(?!\d)", text):
        text = text.replace("/", "-")
    if not 8 <= len(text) <= 60:
        return None
    try:
        return dt.datetime.fromisoformat(re.sub(r" +(?=[+-]\d|UTC$|Z$)", "", text).removesuffix("UTC"))
    except ValueError:
        pass
    try:
        return email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
