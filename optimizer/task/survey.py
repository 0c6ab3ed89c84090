"""Rows of files larger than what is kept of them: which are worth a look, as they may be copies, alike, or personal.

All rows are streamed by pyarrow, and what is kept of each is a few hashes. A row is a suspect where another one has the
same letters, shares runs of letters that hardly any other row has (sampled by the hash's value, Manber 1994) or has the
same least hashes of them (MinHash, Broder 1997), or where it holds what an address, a telephone number, an IBAN or a
card number begins with. Suspects are read in a second pass; whether they are what they seem is for
`optimizer/task/profile.py` to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optimizer.errors import TaskError
from optimizer.task.duplicates import mixed
from optimizer.task.encoding import encoding_of
from optimizer.task.load import Draft, files_of
from optimizer.task.parts import make_parts
from optimizer.task.rows import Reading, Row, plain_cell
from optimizer.task.table import dialect_of
from optimizer.task.text import Problems
from optimizer.types import Example

if TYPE_CHECKING:
    import pyarrow as pa

# Rows that are read at once, and bytes of a table.
BATCH, BLOCK = 8192, 1 << 24
# Of a longer text its beginning and its end are looked at, so many bytes each; all of it for personal data.
END = 200
# A run of letters without spaces. Of the runs of a row one in `HASHED` is hashed, and one in `SAMPLED` kept; a run in
# more rows than a few says nothing.
RUN, HASHED, SAMPLED, MOST_ROWS = 12, 4, 16, 24
# Least hashes of a row's runs: BANDS keys of so many each. Pairs have so many keys in common, or share rare runs.
BANDS, HASHES, MET, MOST_MET = 28, 4, 2, 500
# Of the rows with the same run or key each is paired with so many before it; pairs share so many runs at least.
BEFORE, SHARED = 4, 2
# Ranges of hashes that are looked at one after the other.
BUCKETS = 16
# Rows that are read again at most, half of them for personal data; of alike ones those that share the most. In as many
# texts telephone numbers are looked for (`optimizer/job/profile.py`).
MOST_SUSPECTS = 20_000
# What a stretch of personal data has somewhere, as re2 spells it.
PERSONAL = (
    r"@|\d(?:[ ()./-]{0,2}\d){8,}|[A-Za-z]{2}\d\d(?: ?[A-Za-z0-9]{4}){2}"
    r"|\d\.\d{1,3}\.\d{1,3}\.\d|[0-9A-Fa-f]:[0-9A-Fa-f:]*:"
)
_BASE = np.uint32(0x01000193)


@dataclass(frozen=True)
class File:
    """A file of rows, and the name that messages have for it."""

    path: Path
    label: str


@dataclass(frozen=True)
class Suspects:
    """Rows that are worth a look, by part; how many rows there are in all, and what was not looked at."""

    rows: Mapping[str, list[Row]]
    total: int
    remarks: tuple[str, ...] = ()


def suspects_of(draft: Draft) -> tuple[dict[str, Sequence[Example]], tuple[str, ...]]:
    """Return, of all rows of a draft's files, the examples that may be copies, alike or hold personal data, by part.

    Beside them is what to say of the search. Raises TaskError where the files cannot be streamed.
    """
    written, folder = draft.written, draft.file.parent
    files = {part: File(folder / name, name) for part, name in files_of(written.data).items()}
    if not can_survey(files):
        raise TaskError("only CSV, TSV and Parquet are streamed", "Save the rows as one of these.")
    columns = {name: written.fields.get(name, name) for name in (*written.inputs, *written.outputs)}
    others = [*written.slices, *filter(None, [written.split.group, written.split.time])]
    found = survey(files, [columns[name] for name in written.inputs], [*columns.values(), *others])
    read = {part: (some, files[part].label) for part, some in found.rows.items() if some}
    parts = make_parts(read, written, Problems(), written.data.repair, [])
    looked = f"copies, near-duplicates and personal data were looked for in all {found.total:,} rows"
    return dict(parts.examples), (looked, *found.remarks)


def survey(files: Mapping[str, File], columns: Sequence[str], own: Sequence[str]) -> Suspects:
    """Return the suspects among all rows of files, by part; `columns` are those of the inputs, `own` all that count.

    Raises TaskError where a file cannot be read in this way: it is no table or Parquet, a row lacks cells, or an input
    is no text.
    """
    hashes, personal, total = _Hashes(), list[np.ndarray](), 0
    for file in files.values():
        for batch, _ in _batches(file, [*columns]):
            texts = _texts(batch, columns)
            personal.append(np.flatnonzero(_matches(texts)) + total)
            hashes.add(texts)
            total += len(texts)
    suspects, remarks = _chosen(hashes.same(), hashes.alike(), np.concatenate([*personal, np.zeros(0, int)]))
    return Suspects(_read(files, [*dict.fromkeys([*columns, *own])], suspects), total, remarks)


def can_survey(files: Mapping[str, File]) -> bool:
    """Tell if all files are of a kind that is streamed."""
    return bool(files) and all(file.path.suffix.lower() in (".parquet", ".csv", ".tsv") for file in files.values())


def _chosen(same: np.ndarray, alike: np.ndarray, personal: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the numbers of the rows to be read again, in order, and a remark where they are not all."""
    half = MOST_SUSPECTS // 2
    by_worth = (same.ravel(), personal[:half], alike.ravel(), personal[half:])
    chosen = dict.fromkeys(number for rows in by_worth for number in rows[: MOST_SUSPECTS + 1].tolist())
    kept = np.array(sorted(list(chosen)[:MOST_SUSPECTS]), dtype=int)
    if len(kept) == len(chosen):
        return kept, ()
    every = len(np.unique(np.concatenate(by_worth)))
    return kept, (f"of {every:,} rows that may be one of these {len(kept):,} were looked at",)


class _Hashes:
    """What is kept of each row: a fingerprint of its letters, and some of its runs of letters."""

    def __init__(self) -> None:
        self._prints: list[np.ndarray] = []
        self._runs: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []
        self._bands: list[np.ndarray] = []
        self._total = 0

    def add(self, texts: pa.LargeBinaryArray) -> None:
        """Take note of further rows."""
        letters, starts = _letters(_ends(texts))
        runs = _runs(letters)
        whole = np.ones(len(runs), dtype=bool)
        ends = starts[1:]
        for back in range(1, RUN):  # a run that begins in one row and ends in the next one is none
            at = ends - back
            whole[at[(at >= 0) & (at < len(runs))]] = False
        some = np.flatnonzero(whole & (runs < np.uint32(2**32 // HASHED)))
        kept = some[runs[some] < np.uint32(2**32 // SAMPLED)]
        self._runs.append(runs[kept])
        self._bands.append(_bands(runs[some], np.searchsorted(some, starts)))
        self._rows.append((np.searchsorted(starts, kept, "right") - 1 + self._total).astype(np.int32))
        self._prints.append(_prints(letters, starts))
        self._total += len(starts) - 1

    def same(self) -> np.ndarray:
        """Return pairs of rows with the same letters, as an array of shape (pairs, 2)."""
        prints = np.concatenate([*self._prints, np.zeros(0, np.uint64)])
        order = np.argsort(prints, kind="stable")
        equal = np.flatnonzero(prints[order[1:]] == prints[order[:-1]])
        return np.stack([order[equal], order[equal + 1]], axis=1)

    def alike(self) -> np.ndarray:
        """Return pairs of rows that share runs which few rows have, or least hashes; those with the most come first."""
        step = 2**32 // SAMPLED // BUCKETS + 1
        shared = [self._bucket(low, low + step) for low in range(0, 2**32 // SAMPLED, step)]
        self._runs, self._rows = [], []
        met = []
        for band in range(BANDS):
            keys = np.concatenate([*(each[:, band] for each in self._bands), np.zeros(0, np.uint32)])
            there = np.flatnonzero(keys)
            met.append(_sharing(keys[there], there.astype(np.int32), MOST_MET))
        self._bands = []
        pairs, counts = (np.concatenate(both) for both in zip(_often(met, MET), _often(shared, SHARED), strict=True))
        pairs = pairs[np.argsort(-counts, kind="stable")]
        return np.stack([pairs >> np.uint64(32), pairs & np.uint64(2**32 - 1)], axis=1).astype(int)

    def _bucket(self, low: int, high: int) -> np.ndarray:
        """Return the pairs that share a run whose hash lies in a range: one range after the other bounds the memory."""
        some = [(runs >= low) & (runs < high) for runs in self._runs]
        runs = [each[here] for each, here in zip(self._runs, some, strict=True)]
        rows = [each[here] for each, here in zip(self._rows, some, strict=True)]
        if not runs:
            return np.zeros(0, np.uint64)
        return _sharing(np.concatenate(runs), np.concatenate(rows), MOST_ROWS)


def _often(pairs: Sequence[np.ndarray], least: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs that are there so many times at least, and how often."""
    keys, counts = np.unique(np.concatenate([*pairs, np.zeros(0, np.uint64)]), return_counts=True)
    enough = counts >= least
    return keys[enough], counts[enough]


def _bands(runs: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return an array of shape (rows, BANDS): keys of least hashes of each row's runs, 0 for a row without any."""
    keys = np.zeros((len(starts) - 1, BANDS), np.uint32)
    there = np.flatnonzero(np.diff(starts) > 0)
    if len(there):
        for band in range(BANDS):
            key = np.zeros(len(there), np.uint32)
            for seed in _SEEDS[band]:
                key = mixed(key ^ np.minimum.reduceat(runs * seed, starts[there]))
            keys[there, band] = key | np.uint32(1)
    return keys


def _sharing(runs: np.ndarray, rows: np.ndarray, most: int) -> np.ndarray:
    """Return pairs of rows, the earlier one in the upper 32 bits, for each run that both have, and `most` at most."""
    order = np.argsort(runs, kind="stable")
    runs, rows = runs[order], rows[order].astype(np.uint64)
    if not len(runs):
        return np.zeros(0, np.uint64)
    begins = np.flatnonzero(np.concatenate([[True], runs[1:] != runs[:-1]]))
    sizes = np.diff(np.concatenate([begins, [len(runs)]]))
    few = np.repeat((sizes > 1) & (sizes <= most), sizes)
    runs, rows = runs[few], rows[few]
    pairs = []
    for step in range(1, BEFORE + 1):
        both = (runs[step:] == runs[:-step]) & (rows[step:] != rows[:-step])
        pairs.append((rows[:-step][both] << np.uint64(32)) | rows[step:][both])
    return np.concatenate(pairs)


def _letters(texts: pa.LargeBinaryArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the letters and digits of all rows, without case, and where each row begins, and the last one ends."""
    _, offsets_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(data_buffer or b"", np.uint8)[offsets[0] : offsets[-1]]
    folded = _FOLDED[data]
    kept = folded > 0
    before = np.concatenate([[0], np.cumsum(kept)])
    return folded[kept], before[offsets - offsets[0]]


def _runs(letters: np.ndarray) -> np.ndarray:
    """Return a hash of 32 bits for each run of `RUN` letters."""
    if len(letters) < RUN:
        return np.zeros(0, np.uint32)
    one = letters.astype(np.uint32)
    two = one[:-1] * _BASE + one[1:]
    four = two[:-2] * _BASE**2 + two[2:]
    eight = four[:-4] * _BASE**4 + four[4:]
    return np.asarray(mixed(eight[:-4] * _BASE**4 + four[8:]))


def _prints(letters: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return a hash of 64 bits of each row's letters, which hangs on their order."""
    sums = np.zeros((2, len(starts) - 1), np.uint64)
    there = np.flatnonzero(np.diff(starts) > 0)
    if len(there):
        place = (np.arange(len(letters)) - np.repeat(starts[:-1], np.diff(starts))).astype(np.uint32)
        for row, seed in enumerate((0x9E3779B9, 0x85EBCA6B)):
            each = mixed(letters.astype(np.uint32) * np.uint32(0x01000193) ^ mixed(place + np.uint32(seed)))
            sums[row, there] = np.add.reduceat(each.astype(np.uint64), starts[there])
    return np.asarray(sums[0] * np.uint64(0x9E3779B97F4A7C15) ^ sums[1])


def _table() -> np.ndarray:
    """Return what each byte counts as: small letters, digits, bytes beyond ASCII; 0 for what does not count."""
    table = np.zeros(256, np.uint8)
    table[128:] = np.arange(128, 256)
    for letter in b"abcdefghijklmnopqrstuvwxyz0123456789":
        table[letter] = letter
    for letter in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        table[letter] = letter + 32
    return table


_FOLDED = _table()
# Odd numbers: to multiply by one of them puts all hashes in another order.
_SEEDS = np.random.default_rng(0).integers(0, 2**31, (BANDS, HASHES), dtype=np.uint32) * np.uint32(2) + np.uint32(1)


def _texts(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.LargeStringArray:
    """Return the inputs of each row as one text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [pc.fill_null(pc.cast(batch.column(name), pa.large_string()), "") for name in columns]
    texts = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, pa.scalar("\n", pa.large_string()))
    if not pc.all(pc.string_is_ascii(texts)).as_py():
        texts = pc.utf8_lower(pc.utf8_normalize(texts, "NFC"))
    return texts


def _ends(texts: pa.LargeStringArray) -> pa.LargeBinaryArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.cast(texts, pa.large_binary())
    long = pc.greater(pc.binary_length(texts), 2 * END)
    if not pc.any(long).as_py():
        return texts
    ends = (pc.binary_slice(texts, 0, END), pc.binary_slice(texts, -END, None))
    cut = pc.binary_join_element_wise(*ends, pa.scalar(b"", pa.large_binary()))
    return pc.if_else(long, cut, texts)


def _matches(texts: pa.LargeStringArray) -> np.ndarray:
    import pyarrow.compute as pc

    found: np.ndarray = pc.match_substring_regex(texts, PERSONAL).to_numpy(zero_copy_only=False)
    return found


def _batches(file: File, columns: list[str]) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Yield the rows of a file, with the line of the first one; raises TaskError where they cannot be read so."""
    import pyarrow as pa

    try:
        yield from _of_parquet(file, columns) if file.path.suffix.lower() == ".parquet" else _of_table(file, columns)
    except (pa.ArrowException, OSError, ValueError, KeyError) as problem:
        raise TaskError(f"{file.label}: cannot be streamed ({str(problem)[:200]})", "Mend it, or let it be.") from None


def _of_parquet(file: File, columns: list[str]) -> Iterator[tuple[pa.RecordBatch, int]]:
    import pyarrow.parquet as pq

    first = 1
    with pq.ParquetFile(file.path, buffer_size=1 << 20, pre_buffer=False) as opened:
        for batch in opened.iter_batches(BATCH, columns=columns):
            yield batch, first
            first += len(batch)


def _of_table(file: File, columns: list[str]) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Yield the rows of a table; the line counts no blank ones, and takes a row to be one line."""
    import pyarrow as pa
    from pyarrow import csv

    reading = Reading()
    encoding = encoding_of(file.path, file.label, reading, guess=True)
    delimiter, skip = dialect_of(file.path, encoding, "\t" if file.path.suffix.lower() == ".tsv" else ",")
    # Threads would read on while a block is looked at: gigabytes of them.
    options = csv.ReadOptions(use_threads=False, block_size=BLOCK, encoding=encoding, skip_rows=skip)
    text = csv.ConvertOptions(
        include_columns=columns, column_types=dict.fromkeys(columns, pa.large_string()), strings_can_be_null=False
    )
    parsing = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    line = 2 + skip
    with csv.open_csv(file.path, options, parsing, text) as opened:
        for whole in opened:
            for at in range(0, len(whole), BATCH):
                batch = whole.slice(at, BATCH)
                yield batch, line
                line += len(batch)


def _read(files: Mapping[str, File], columns: list[str], numbers: np.ndarray) -> dict[str, list[Row]]:
    """Return the rows of these numbers, which count through all files, by part."""
    rows: dict[str, list[Row]] = {}
    total = 0
    for part, file in files.items():
        rows[part] = []
        word = ":" if file.path.suffix.lower() != ".parquet" else " row "
        for batch, first in _batches(file, columns):
            low, high = np.searchsorted(numbers, [total, total + len(batch)])
            for at in (numbers[low:high] - total).tolist():
                values: dict[str, Any] = {name: plain_cell(batch.column(name)[at].as_py()) for name in columns}
                rows[part].append(Row(values, f"{file.label}{word}{first + at}"))
            total += len(batch)
    return rows
