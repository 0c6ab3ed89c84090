from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import TaskError
from optimizer.task import blocks, streams
from optimizer.task.data import read_rows
from optimizer.task.streams import File, batches, rows_of

LONG = ['one, "two"\nthree', "", "é – 5 €", "x" * 30, " spaces "]


def columns_of(file: File, *names: str) -> list[list[str]]:
    read = [[array.to_pylist() for array in batch] for batch in batches(file, names)]
    return [[cell for batch in read for cell in batch[at]] for at in range(len(names))]


def test_parquet_comes_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BATCH", 3)
    table = pa.table({"n": range(10), "text": [f"text {number}" for number in range(10)]})
    pq.write_table(table, tmp_path / "a.parquet")
    file = File(tmp_path / "a.parquet", "a.parquet")
    assert columns_of(file, "text", "n") == [[f"text {number}" for number in range(10)], list(range(10))]
    rows = rows_of(file, ["text"], np.array([0, 4, 9]))
    assert [(row.origin, row.values) for row in rows] == [
        (f"a.parquet row {number + 1}", {"text": f"text {number}"}) for number in (0, 4, 9)
    ]
    assert rows_of(file, ["text"], np.array([], dtype=int)) == []


@pytest.mark.parametrize(("name", "encoding"), [("a.csv", "utf-8-sig"), ("a.tsv", "cp1252"), ("a.csv", "utf-16")])
def test_a_table_in_any_encoding(tmp_path: Path, name: str, encoding: str) -> None:
    with (tmp_path / name).open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=";").writerows([("a", "b"), *((text, "z") for text in LONG)])
    stream = File(tmp_path / name, name)
    assert columns_of(stream, "b", "a") == [["z"] * 5, LONG]
    assert [row.origin for row in rows_of(stream, ["a"], np.arange(5))] == [
        f"{name}:{line}" for line in (2, 4, 5, 6, 7)
    ]


cells = st.sampled_from(["", "x", " ", 'a "b"', "1,2", "two\nlines", "\u00a0", "é", "y" * 40, '"'])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(cells, min_size=1, max_size=3), min_size=1, max_size=12), st.integers(5, 60))
def test_rows_are_those_that_a_run_reads(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], chunk: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("a", "b"), *rows, ("last", "row")])
    stream = File(path, path.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "CHUNK", chunk)
        columns = columns_of(stream, "a", "b", "a")
        streamed = rows_of(stream, ["b", "a"], np.arange(len(columns[0])))
    try:
        read = read_rows(path)
    except TaskError:
        assert any(len(row) != 2 for row in rows)
        return
    assert [(row.origin, dict(row.values)) for row in streamed] == [(row.origin, dict(row.values)) for row in read]
    whole = [(one, two) for one, two in zip(*columns[:2], strict=True) if (one + two).strip()]
    assert whole == [tuple(row.values.values()) for row in read]
    assert columns[2] == columns[0]
