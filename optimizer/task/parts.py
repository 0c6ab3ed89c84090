"""The examples of each part of a task, read, repaired and checked: what the splits are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from optimizer.task.keys import Key, column_of, keys_of
from optimizer.task.repair import Pair, repair_pairs, repair_rows
from optimizer.task.rows import Row
from optimizer.task.schema import Repair, TaskSpec
from optimizer.task.slices import with_slices
from optimizer.task.text import Problems
from optimizer.task.values import checked_rows
from optimizer.types import Example


@dataclass(frozen=True)
class Parts:
    """Examples by part, {'all'} or {'train', 'validation'?, 'test'}, and what is to be said of them.

    `keys` are what they are split by, if anything, in the same order. Whoever makes the task refuses the `problems`.
    """

    examples: Mapping[str, tuple[Example, ...]]
    keys: Mapping[str, tuple[Key, ...]] | None = None
    notes: tuple[str, ...] = ()
    problems: Problems = field(default_factory=Problems)


def make_parts(
    rows: Mapping[str, tuple[Sequence[Row], str]],
    spec: TaskSpec,
    problems: Problems,
    repairs: Sequence[Repair] = (),
    notes: Sequence[str] = (),
) -> Parts:
    """Return the parts of a task: from the rows of each and the name that messages have for them."""
    remarks = list(notes)
    pairs: dict[str, list[Pair]] = {}
    keys: dict[int, Key] = {}  # by the row's id: all rows are held in `mended` meanwhile
    mended: dict[str, list[Row]] = {}
    for part, (read, label) in rows.items():
        column = column_of(spec.split, spec.fields, [name for row in read[:1] for name in row.values])
        also = [] if column is None else [column]
        mended[part] = repair_rows(read, repairs, spec, also, label, remarks)
        pairs[part] = checked_rows(mended[part], spec, label, problems, also)
        if column is not None:
            read_keys = keys_of(mended[part], column, spec.split.time is not None, problems)
            keys.update(zip(map(id, mended[part]), read_keys, strict=True))
    kept = repair_pairs(with_slices(pairs, spec, problems) if spec.slices else pairs, repairs, remarks)
    examples = {part: tuple(example for _, example in kept[part]) for part in kept}
    by_part = {part: tuple(keys[id(row)] for row, _ in kept[part]) for part in kept} if keys else None
    return Parts(examples, by_part, tuple(remarks), problems)
