"""What `data.repair` mends, and in how many rows: spaces, case of labels, blank, repeated and contradicting rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from optimizer.task.rows import Row
from optimizer.task.schema import FieldSpec, Repair
from optimizer.task.text import fold, fold_all
from optimizer.task.values import Fields, is_blank
from optimizer.types import Example, canonical_json

Pair = tuple[Row, Example]
Parts = Mapping[str, Sequence[Pair]]
# Of two rows with the same input in two parts, the one in the first of these is kept.
_KEPT_FIRST = ("test", "validation", "train", "all")


def repair_rows(
    rows: Sequence[Row], repairs: Sequence[Repair], fields: Fields, also: Sequence[str], label: str, notes: list[str]
) -> list[Row]:
    """Return rows after trim, fold_case and drop_blank, in this order, as far as they are among the repairs.

    A note tells how many rows each has changed or dropped. A row without a value in a column of `also` is blank.
    """
    mended = list(rows)
    if "trim" in repairs:
        mended, count = _changed(mended, _trimmed)
        notes.append(f"{label}: trim took the spaces around a value from {_rows(count)}")
    if "fold_case" in repairs:
        columns = {fields.fields.get(name, name): spec for name, spec in fields.outputs.items() if spec.choices}
        columns |= {fields.fields.get(name, name): spec for name, spec in fields.inputs.items() if spec.choices}
        mended, count = _changed(mended, lambda row: _as_chosen(row, columns))
        notes.append(f"{label}: fold_case wrote the label as in choices in {_rows(count)}")
    if "drop_blank" in repairs:
        left = [row for row in mended if not is_blank(row, fields, also)]
        notes.append(f"{label}: drop_blank left out {_rows(len(mended) - len(left))}")
        mended = left
    return mended


def repair_pairs(parts: Parts, repairs: Sequence[Repair], notes: list[str]) -> dict[str, list[Pair]]:
    """Return the parts after drop_conflicting and drop_duplicates, as far as they are among the repairs.

    Rows have the same input if they have after case, spaces and spelling variants are folded. Of those with different
    outputs none is kept; of copies one is: the test's before the others', else the first.
    """
    kept = {part: list(pairs) for part, pairs in parts.items()}
    if "drop_conflicting" in repairs:
        answers: dict[str, set[str]] = {}
        for pairs in kept.values():
            for _, example in pairs:
                answers.setdefault(input_key(example), set()).add(canonical_json(dict(example.outputs)))
        notes += _dropped(kept, "drop_conflicting", lambda example: len(answers[input_key(example)]) > 1)
    if "drop_duplicates" in repairs:
        seen: set[tuple[str, str]] = set()

        def repeated(example: Example) -> bool:
            key = input_key(example), canonical_json(dict(example.outputs))
            before = key in seen
            seen.add(key)
            return before

        notes += _dropped(kept, "drop_duplicates", repeated)
    return kept


def input_key(example: Example) -> str:
    """Return text that is the same for examples with the same input: case, spaces and spelling variants are folded."""
    return canonical_json(fold_all(dict(example.inputs)))


def _dropped(parts: dict[str, list[Pair]], repair: str, drop: Callable[[Example], bool]) -> list[str]:
    """Drop pairs from the parts, and return the notes that tell of it."""
    notes = []
    for part in sorted(parts, key=_KEPT_FIRST.index):
        left = [pair for pair in parts[part] if not drop(pair[1])]
        of = "" if part == "all" else f" of {part}"
        notes.append(f"{repair} left out {_rows(len(parts[part]) - len(left))}{of}")
        parts[part] = left
    return notes


def _changed(rows: Sequence[Row], change: Callable[[Row], Row]) -> tuple[list[Row], int]:
    changed = list(map(change, rows))
    return changed, sum(one is not other for one, other in zip(changed, rows, strict=True))


def _trimmed(row: Row) -> Row:
    values = {name: value.strip() if isinstance(value, str) else value for name, value in row.values.items()}
    return row if values == row.values else Row(values, row.origin)


def _as_chosen(row: Row, columns: Mapping[str, FieldSpec]) -> Row:
    chosen = {
        column: choice
        for column, spec in columns.items()
        if isinstance(value := row.values.get(column), str)
        and (choice := spec.by_fold.get(fold(value))) is not None
        and choice != value
    }
    return Row({**row.values, **chosen}, row.origin) if chosen else row


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"
