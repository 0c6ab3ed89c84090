from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import TaskError
from optimizer.system import files
from optimizer.task.data import read_rows
from optimizer.task.rows import Row


def read(folder: Path, name: str, content: str | bytes) -> list[Row]:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_rows(folder / name)


def test_json_lines_keep_their_line_numbers_over_blank_lines(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.jsonl", '\ufeff{"a": 1}\r\n\n  \n{"a": "x\u2028y"}\n')
    assert rows == [Row({"a": 1}, "a.jsonl:1"), Row({"a": "x\u2028y"}, "a.jsonl:4")]


def test_json_is_a_list_of_objects(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.json", '[{"a": 1},\n {"a": 2}]')
    assert rows == [Row({"a": 1}, "a.json item 1"), Row({"a": 2}, "a.json item 2")]


def test_csv_values_are_text_and_quoted_cells_may_span_lines(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", 'a, b\n1,"x, ""y""\nz"\n\n2,w\n')
    assert rows == [Row({"a": "1", "b": 'x, "y"\nz'}, "a.csv:2"), Row({"a": "2", "b": "w"}, "a.csv:5")]


def test_tsv(tmp_path: Path) -> None:
    assert read(tmp_path, "a.TSV", 'a\tb\n1,5\tsay "hi"\n') == [Row({"a": "1,5", "b": 'say "hi"'}, "a.TSV:2")]


def test_parquet(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"a": ["x", None], "n": [1, 2]}), tmp_path / "a.parquet")
    rows = read_rows(tmp_path / "a.parquet", "data/a.parquet")
    expected = [Row({"a": "x", "n": 1}, "data/a.parquet row 1"), Row({"a": None, "n": 2}, "data/a.parquet row 2")]
    assert rows == expected


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans()), min_size=1))
def test_json_lines_round_trip(tmp_path_factory: pytest.TempPathFactory, values: list[dict[str, Any]]) -> None:
    folder = tmp_path_factory.getbasetemp()
    rows = read(folder, "round.jsonl", "\n".join(json.dumps(value, ensure_ascii=True) for value in values))
    assert [row.values for row in rows] == values


BAD: list[tuple[str, str | bytes, list[str]]] = [
    ("a.jsonl", "", ["a.jsonl: has no examples"]),
    ("a.jsonl", "\n \n", ["a.jsonl: has no examples"]),
    ("a.jsonl", '{"a": 1}\n{"a": 2,}\n', ["a.jsonl:2: not valid JSON", "column 9", "'}'"]),
    ("a.jsonl", '{"a": 1}\n[1, 2]\n', ["a.jsonl:2: must be an object, not [1, 2]", '{"column": value']),
    ("a.jsonl", '{"a": NaN}\n', ["a.jsonl:1", "NaN is not a JSON value"]),
    ("a.jsonl", '{"a": "\\ud800"}', ["a.jsonl:1", "surrogate"]),
    ("a.jsonl", b'{"a": 1}\n{"a": "caf\xe9"}\n', ["a.jsonl:2: not valid UTF-8 (byte 0xe9)", "iconv"]),
    ("a.json", '{"a": 1}', ["a.json: must be a list of objects, not {'a': 1}", "call it .jsonl"]),
    ("a.json", '[{"a": 1},\n{"a": }]', ["a.json:2: not valid JSON"]),
    ("a.json", '[{"a": 1}, 5]', ["a.json item 2: must be an object, not 5"]),
    ("a.json", "[]", ["a.json: has no examples"]),
    ("a.json", "", ["a.json: has no examples"]),
    ("a.csv", "", ["a.csv: has no examples"]),
    ("a.csv", "a,b\n", ["a.csv: has no examples"]),
    ("a.csv", "a,b\n1,2\n1,2,3\n", ["a.csv:3: has 3 cells where the header has 2", "['1', '2', '3']"]),
    ("a.csv", "a,a\n1,2\n", ["a.csv:1: the column 'a' is there twice"]),
    ("a.csv", 'a,b\n1,2\n1,"open\n\n', ["a.csv:3: not a valid table", "close each one"]),
    ("a.parquet", "no", ["a.parquet: cannot be read as Parquet"]),
    ("a.xlsx", "no", ["a.xlsx: cannot be read as a workbook", "save the sheet as .csv"]),
    ("a.xls", "no", ["a.xls: unknown kind of file '.xls'", "Save it as .xlsx", ".jsonl, .json, .csv"]),
]


@pytest.mark.parametrize(("name", "content", "parts"), BAD)
def test_refuses(tmp_path: Path, name: str, content: str | bytes, parts: list[str]) -> None:
    with pytest.raises(TaskError) as caught:
        read(tmp_path, name, content)
    for part in parts:
        assert part in str(caught.value)


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "examples.jsonl").touch()
    with pytest.raises(TaskError, match=r"example.jsonl: no such file\n.*did you mean 'examples.jsonl'"):
        read_rows(tmp_path / "example.jsonl")


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").mkdir()
    with pytest.raises(TaskError, match="is a folder"):
        read_rows(tmp_path / "a.jsonl")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(TaskError, match="pip install pyarrow"):
        read(tmp_path, "a.parquet", "")


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"a{suffix}")
    with pytest.raises(TaskError, match="is a pipe or a device, not a file"):
        read_rows(tmp_path / f"a{suffix}")


def test_a_name_that_no_file_can_have_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / f"{'x' * 300}.csv", tmp_path / ("y" * 300) / "a.csv", tmp_path / "z\0.csv"):
        with pytest.raises(TaskError, match="no such file"):
            read_rows(path)


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST", 10)
    (tmp_path / "rows.json").write_text('[{"text": "long enough"}]')
    with pytest.raises(TaskError, match=r"rows.json: has 25 bytes; at most 10 are read"):
        read_rows(tmp_path / "rows.json")


def test_a_parquet_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"text": ["the same"] * 50_000}), tmp_path / "rows.parquet")
    size = (tmp_path / "rows.parquet").stat().st_size
    assert size < 10_000
    monkeypatch.setattr(files, "LARGEST", 10_000)
    with pytest.raises(TaskError, match=r"has 1\d,\d{3} bytes; at most 10,000 are read"):
        read_rows(tmp_path / "rows.parquet")
