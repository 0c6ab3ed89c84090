"""Rows of files larger than what is kept of them: which are worth a look, as they may be copies, alike, or personal.

All rows are streamed, and what is kept of each is a sketch of it. A row is a suspect where another one is the same or
alike by their sketches, or where it holds what an address, a telephone number, an IBAN or a card number begins with.
Suspects are read in a second pass; whether they are what they seem is for `optimizer/task/profile.py` to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from optimizer.errors import TaskError
from optimizer.task.load import files_of
from optimizer.task.parts import make_parts
from optimizer.task.rows import MOST_BYTES, MOST_ROWS, Row
from optimizer.task.schema import TaskFile
from optimizer.task.sketches import Sketches
from optimizer.task.streams import File, batches, rows_of
from optimizer.task.text import Problems
from optimizer.types import Example

if TYPE_CHECKING:
    import pyarrow as pa

# Rows that are read again at most, a third of them for each kind where there are more. In as many texts telephone
# numbers are looked for (`optimizer/job/profile.py`).
MOST_SUSPECTS = 20_000
# What a stretch of personal data has somewhere, as re2 spells it.
PERSONAL = (
    r"@|\d(?:[ ()./-]{0,2}\d){8,}|[A-Za-z]{2}\d\d(?: ?[A-Za-z0-9]{4}){2}"
    r"|\d\.\d{1,3}\.\d{1,3}\.\d|[0-9A-Fa-f]:[0-9A-Fa-f:]*:"
)


@dataclass(frozen=True)
class Suspects:
    """Rows that are worth a look, by part; how many rows there are in all, and what was not looked at."""

    rows: Mapping[str, list[Row]]
    total: int
    remarks: tuple[str, ...] = ()


def suspects_of(written: TaskFile, folder: Path) -> tuple[dict[str, Sequence[Example]], tuple[str, ...]]:
    """Return, of all rows of a task's files, the examples that may be copies, alike or hold personal data, by part.

    Beside them is what to say of the search. Raises TaskError where the files cannot be streamed.
    """
    files = _files(written, folder)
    if not can_survey(files):
        raise TaskError("only CSV, TSV and Parquet are streamed", "Save the rows as one of these.")
    columns = {name: written.fields.get(name, name) for name in (*written.inputs, *written.outputs)}
    others = [*written.slices, *filter(None, [written.split.group, written.split.time])]
    asked = [columns[name] for name in written.inputs]
    answers = [columns[name] for name, spec in written.outputs.items() if spec.choices is None]
    seen = survey(files, asked, [*columns.values(), *others], answers)
    read = {part: (some, files[part].label) for part, some in seen.rows.items() if some}
    parts = make_parts(read, written, Problems(), written.data.repair, [])
    looked = f"copies, near-duplicates and personal data were looked for in all {seen.total:,} rows"
    return dict(parts.examples), (looked, *seen.remarks)


def will_be_cut(written: TaskFile, folder: Path) -> bool:
    """Tell if of a task's files not all rows will be kept, as far as that can be told without reading them.

    It is no in doubt. Where it is yes, the survey is best done before the rows are read: both take memory.
    """
    most = written.data.sample or MOST_ROWS
    try:
        return any(_has_more(file.path, most) for file in _files(written, folder).values() if file.is_streamed)
    except (OSError, ImportError):
        return False


def _files(written: TaskFile, folder: Path) -> dict[str, File]:
    return {part: File(folder / name, name) for part, name in files_of(written.data).items()}


def _has_more(path: Path, most: int) -> bool:
    if path.suffix.lower() == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            rows: int = pq.read_metadata(path).num_rows
        except (pa.ArrowException, ValueError):
            return False
        return rows > most
    if path.stat().st_size > MOST_BYTES:
        return True
    with path.open("rb") as file:  # lines, of which a row may have several: then nothing is lost but time
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b"")) > most + 1


def survey(
    files: Mapping[str, File], columns: Sequence[str], own: Sequence[str], answers: Sequence[str] = ()
) -> Suspects:
    """Return the suspects among all rows of files, by part; `columns` are those of the inputs, `own` all that count.

    Personal data is looked for in the inputs and in the texts among the `answers`. Raises TaskError where a file cannot
    be read in this way: it is no table or Parquet, lacks a column, or an input is no text.
    """
    sketches, personal, ends = Sketches(), list[np.ndarray](), list[int]()
    total = 0
    for file in files.values():
        for batch in batches(file, list(dict.fromkeys([*columns, *answers]))):
            by_name = dict(zip(dict.fromkeys([*columns, *answers]), batch, strict=True))
            texts = _texts([by_name[name] for name in columns])
            others = [by_name[name] for name in answers if _is_text(by_name[name]) and name not in columns]
            matches = np.logical_or.reduce([_matches(some) for some in (texts, *others)])
            personal.append(np.flatnonzero(matches) + total)
            sketches.add(texts)
            total += len(texts)
        ends.append(total)
    numbers, remarks = _chosen(sketches.same(), np.concatenate([*personal, np.zeros(0, int)]), sketches.alike())
    del sketches
    rows, begin = dict[str, list[Row]](), 0
    for (part, file), end in zip(files.items(), ends, strict=True):
        low, high = np.searchsorted(numbers, [begin, end])
        rows[part] = rows_of(file, list(dict.fromkeys([*columns, *own])), numbers[low:high] - begin)
        begin = end
    return Suspects(rows, total, remarks)


def can_survey(files: Mapping[str, File]) -> bool:
    """Tell if all files are of a kind that is streamed."""
    return bool(files) and all(file.is_streamed for file in files.values())


def _chosen(*kinds: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the numbers of the rows to be read again, in order, and a remark where they are not all.

    Each kind has its share first, and what another leaves of its own.
    """
    flat = [kind.ravel() for kind in kinds]
    share = MOST_SUSPECTS // len(kinds) // 2 * 2  # a pair is not torn apart
    by_worth = [*(kind[:share] for kind in flat), *(kind[share:] for kind in flat)]
    # A row may be in several pairs.
    chosen = dict.fromkeys(number for rows in by_worth for number in rows[: 10 * MOST_SUSPECTS].tolist())
    kept = np.array(sorted(list(chosen)[:MOST_SUSPECTS]), dtype=int)
    if len(kept) == len(chosen):
        return kept, ()
    every = len(np.unique(np.concatenate(flat)))
    return kept, (f"of {every:,} rows that may be one of these {len(kept):,} were looked at",)


def _texts(columns: Sequence[pa.Array]) -> pa.LargeStringArray:
    """Return the inputs of each row as one text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [pc.cast(column, pa.large_string()) for column in columns]
    parts = [pc.fill_null(part, "") if part.null_count else part for part in parts]
    texts = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, pa.scalar("\n", pa.large_string()))
    if not pc.all(pc.string_is_ascii(texts)).as_py():
        texts = pc.utf8_lower(pc.utf8_normalize(texts, "NFC"))
    return texts


def _is_text(column: pa.Array) -> bool:
    import pyarrow as pa

    return column.type in (pa.string(), pa.large_string())


def _matches(texts: pa.LargeStringArray) -> np.ndarray:
    import pyarrow.compute as pc

    matches = pc.match_substring_regex(texts, PERSONAL)
    marked: np.ndarray = pc.fill_null(matches, False).to_numpy(zero_copy_only=False)
    return marked
