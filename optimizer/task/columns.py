"""What the columns of a data file hold: labels, texts, numbers, times, ids; for `metier init` to propose from."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal

from optimizer.task.keys import keys_of
from optimizer.task.rows import Row
from optimizer.task.schema import FieldSpec
from optimizer.task.text import Problems, fold
from optimizer.task.values import coerce, is_empty
from optimizer.types import canonical_json

Kind = Literal["empty", "constant", "id", "time", "bool", "label", "int", "float", "list", "json", "text"]
# Few values, repeated: at most so many labels, each of so many characters at most, and four rows a label on average.
MOST_LABELS, LONGEST_LABEL, ROWS_A_LABEL = 200, 60, 4
FEW_LABELS, ROWS_OF_FEW = 10, 2
MOST_ONCE = 0.1  # the share of many labels that are there once
# Items of a list by commas: characters, and how often each is there on average.
LONGEST_ITEM, ITEM_ROWS = 40, 3
# Of the values of a column: how many are different where nearly all are.
NEARLY_ALL = 0.9
ID_NAME = re.compile(r"(^|[_\W])(ids?|uuid|guid|key|nr|no|num|number|index|idx|row|hash|ref|#)$|^(unnamed.*|#)$")
_ID = re.compile(r"(?=.*\d)[\w.:/#-]{1,64}", re.ASCII)
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*", re.ASCII)
_PLAIN_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d*)?\s*")  # which might be seconds, and is rather an amount
# Rows that are tried before all are, to tell soon that a column is not of a type.
_FIRST = 200


@dataclass(frozen=True)
class Column:
    """A column: what it holds, in how many rows it has a value, and how many different ones.

    `labels` counts each of few, repeated values, the most frequent first, by its most frequent spelling. `words` is the
    median of a text. `nulls` is the share of rows that lack it altogether, which no input may do. A list may be written
    as a text, its items separated `by_commas`.
    """

    name: str
    kind: Kind
    values: int
    distinct: int
    labels: Mapping[str, int] = field(default_factory=dict)
    words: float = 0.0
    nulls: float = 0.0
    flaw: str = ""
    by_commas: bool = False

    @property
    def is_unique(self) -> bool:
        """Whether nearly all of its values are different."""
        return self.distinct >= NEARLY_ALL * self.values

    @property
    def repeats(self) -> float:
        """How many rows have the same value, on average."""
        return self.values / max(1, self.distinct)


def columns_of(rows: Sequence[Row]) -> list[Column]:
    """Return the columns of some rows in their order; those without a name are left out."""
    names = dict.fromkeys(name for row in rows for name in row.values if str(name).strip())
    return [_column(str(name), [row.values.get(name) for row in rows]) for name in names]


def _column(name: str, cells: Sequence[Any]) -> Column:
    values = [cell for cell in cells if not is_empty(cell)]
    forms = Counter(_form(value) for value in values)
    texts = [value for value in values if isinstance(value, str)]
    column = Column(
        name,
        "text",
        len(values),
        len(forms),
        words=statistics.median(len(text.split()) for text in texts) if texts else 0.0,
        nulls=sum(cell is None for cell in cells) / max(1, len(cells)),
    )
    if len(forms) <= 1 and len(cells) > 1:
        return replace(column, kind="constant" if values else "empty")
    if kind := _structure(values):
        return replace(column, kind=kind)
    if all(isinstance(value, bool) for value in values) or {*forms} == {"true", "false"}:
        return replace(column, kind="bool", labels=dict(forms.most_common()))
    if _is_time(name, values):
        return replace(column, kind="time")
    return _number_or_text(column, values, forms)


def _number_or_text(column: Column, values: Sequence[Any], forms: Counter[str]) -> Column:
    if _all(values, _is_comma_number):
        return replace(column, kind="float", flaw=f"decimal commas, as in {values[0]!r}")
    number = _number(values)
    if number is not None and column.is_unique and _is_id_number(column.name, values, number):
        return replace(column, kind="id")
    may_be_labels = number is None or (number == "int" and len(forms) <= FEW_LABELS)
    if may_be_labels and (labels := _labels(values, forms)):
        return replace(column, kind="label", labels=labels)
    if number is not None:
        return replace(column, kind=number)
    if _is_listed(values):
        return replace(column, kind="list", by_commas=True)
    return replace(column, kind="id") if column.is_unique and _all(values, _is_id) else column


def _form(value: Any) -> str:
    return fold(value) if isinstance(value, str) else fold(str(value)) if _is_scalar(value) else canonical_json(value)


def _is_scalar(value: object) -> bool:
    return isinstance(value, (str, int, float, bool))


def _all(values: Sequence[Any], holds: Any) -> bool:
    return all(map(holds, values[:_FIRST])) and all(map(holds, values[_FIRST:]))


def _structure(values: Sequence[Any]) -> Kind | None:
    """Return `list` for lists of texts and numbers, `json` for other structures, as such or written as text."""
    written = _all(values, lambda value: isinstance(value, (list, dict)) or str(value).lstrip()[:1] in ("[", "{"))
    if written and _all(values, lambda value: _reads("list[str]", value)) and not any(_is_object(v) for v in values):
        return "list"
    if written and _all(values, lambda value: _reads("json", value)):
        return "json"
    return None


def _is_listed(values: Sequence[Any]) -> bool:
    """Whether texts list a few short items, separated by commas, that come again and again."""
    if not _all(values, lambda value: isinstance(value, str)) or sum("," in text for text in values) * 2 < len(values):
        return False
    items = Counter(fold(item) for value in values for item in value.split(",") if item.strip())
    return len(items) * ITEM_ROWS <= sum(items.values()) and max(map(len, items)) <= LONGEST_ITEM


def _is_object(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, str) and value.lstrip().startswith("{"))


def _reads(kind: str, value: Any) -> bool:
    try:
        coerce(FieldSpec(type=kind), value)
    except ValueError:
        return False
    return True


def _number(values: Sequence[Any]) -> Literal["int", "float"] | None:
    if _all(values, lambda value: not isinstance(value, bool) and _is_scalar(value) and _reads("int", value)):
        return "int"
    return "float" if _all(values, lambda value: not isinstance(value, bool) and _reads("float", value)) else None


def _is_comma_number(value: Any) -> bool:
    return isinstance(value, str) and _DECIMAL_COMMA.fullmatch(value) is not None


def _is_id_number(name: str, values: Sequence[Any], number: str) -> bool:
    """Whether numbers that are nearly all different only count or name the rows."""
    if ID_NAME.search(fold(name)):
        return True
    if number != "int" or len(values) < 3:
        return False
    numbers = [int(value) for value in values]
    return all(later - earlier == 1 for earlier, later in pairwise(numbers))


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value.strip()) is not None


def _labels(values: Sequence[Any], forms: Counter[str]) -> dict[str, int]:
    """Return how often each label stands there, by its most frequent spelling; none where the values are no labels."""
    if len(forms) <= FEW_LABELS:
        repeated = len(forms) * ROWS_OF_FEW <= len(values)
    else:  # of open answers some are frequent, and many are there once
        once = sum(count == 1 for count in forms.values())
        repeated = len(forms) * ROWS_A_LABEL <= len(values) and once <= MOST_ONCE * len(forms)
    if not repeated or len(forms) > MOST_LABELS:
        return {}
    if not all(map(_is_scalar, values)) or max(map(len, forms)) > LONGEST_LABEL:
        return {}
    spellings: dict[str, Counter[str]] = {}
    for value in values:
        spellings.setdefault(_form(value), Counter())[_spelled(value)] += 1
    return {spellings[form].most_common(1)[0][0]: count for form, count in forms.most_common()}


def _spelled(value: Any) -> str:
    return str(value).strip()


def _is_time(name: str, values: Sequence[Any]) -> bool:
    def all_times(some: Sequence[Any]) -> bool:
        problems = Problems()
        keys_of([Row({name: value}, "") for value in some], name, True, problems)
        return not len(problems)

    dated = _all(values, lambda value: isinstance(value, str) and not _PLAIN_NUMBER.fullmatch(value))
    return dated and all_times(values[:_FIRST]) and all_times(values)
