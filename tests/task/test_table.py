from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import TaskError
from optimizer.task import encoding, table
from optimizer.task.data import read_rows
from optimizer.task.rows import Reading, Row

HEADER = "message{0}label\n"


def read(folder: Path, content: str | bytes, name: str = "a.csv") -> tuple[list[Row], list[str]]:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    reading = Reading()
    rows = read_rows(folder / name, name, reading)
    reading.problems.refuse()
    return rows, reading.notes


def refused(folder: Path, content: str | bytes, name: str = "a.csv") -> str:
    with pytest.raises(TaskError) as caught:
        read(folder, content, name)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_line_tells_the_delimiter(tmp_path: Path, delimiter: str, name: str) -> None:
    rows, notes = read(tmp_path, f"message{delimiter}label\nHello{delimiter}x\n", name)
    assert rows == [Row({"message": "Hello", "label": "x"}, f"{name}:2")]
    own = {"a.csv": ",", "a.tsv": "\t"}[name]
    expected = [] if delimiter == own else [f"{name}: its columns are separated by {table.DELIMITERS[delimiter]}"]
    assert notes == expected


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ("message\nx", ["message"]),
        ('"a, or b";label;id\nx;y;1', ["a, or b", "label", "id"]),
        ("text,a|b\nx,y", ["text", "a|b"]),
        ('\n \n"me\nssage";label\nx;y', ["me\nssage", "label"]),
        ("sep=;\r\na,b;c\r\nx;y", ["a,b", "c"]),
        ('"sep=;";;\na;b\nx;y', ["a", "b"]),
    ],
)
def test_what_else_a_head_may_be(tmp_path: Path, head: str, columns: list[str]) -> None:
    rows, _ = read(tmp_path, head)
    assert list(rows[0].values) == columns


def test_the_line_of_a_row_counts_the_line_that_names_the_delimiter(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "sep=;\na;b\n1;2\n")
    assert rows[0].origin == "a.csv:3"


TEXT = "message,label\nCafé „naïf“ – 5 €,é\n"


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", "read as UTF-16"),
        ("utf-32", "read as UTF-32"),
        ("utf-16-le", "read as UTF-16-LE, by its bytes"),
        ("utf-16-be", "read as UTF-16-BE, by its bytes"),
        ("cp1252", "read as cp1252, the encoding of Windows: line 2 is not UTF-8"),
    ],
)
def test_encodings(tmp_path: Path, name: str, note: str) -> None:
    rows, notes = read(tmp_path, TEXT.encode(name))
    assert rows == [Row({"message": "Café „naïf“ – 5 €", "label": "é"}, "a.csv:2")]
    assert [text for text in notes if note in text] == notes


def test_damaged_utf8_is_not_taken_for_another_encoding(tmp_path: Path) -> None:
    message = refused(tmp_path, TEXT.encode() * 3 + b"caf\xe9,x\n")
    assert "a.csv:7: not valid UTF-8 (byte 0xe9)" in message
    assert "iconv" in message
    assert "a.csv:2: not valid UTF-8 (byte 0x81)" in refused(tmp_path, b"a,b\n\x81\xe9,1\n")


def test_an_encoding_is_seen_across_the_borders_of_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (1, 2, 3, 5):
        monkeypatch.setattr(encoding, "CHUNK", size)
        for name in ("utf-8", "cp1252", "utf-16"):
            assert read(tmp_path, TEXT.encode(name))[0][0].values["label"] == "é"
        assert "a.csv:3: holds a NUL byte" in refused(tmp_path, b"a,b\n1,2\n\0,3\n")
        assert "not valid UTF-8" in refused(tmp_path, TEXT.encode() * 2 + b"x,\xe2\x82")


def test_a_nul_byte_has_its_line(tmp_path: Path) -> None:
    message = refused(tmp_path, b"a,b\n1,2\n3,\0\n")
    assert "a.csv:3: holds a NUL byte, which no text has" in message
    assert "Save it anew" in message


def test_a_file_without_line_ends_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "LONGEST_LINE", 2_000_000)
    assert "a.csv:2: a line of over 2,000,000 bytes" in refused(tmp_path, "a,b\n" + "x" * 5_000_000)


def test_blank_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    rows, notes = read(tmp_path, "a,b\n\n1,2\n,\n \t , \n3,4\n\n")
    assert [row.origin for row in rows] == ["a.csv:3", "a.csv:6"]
    assert notes == ["a.csv: 2 rows without a value left out"]


def test_empty_cells_at_a_rows_end_are_a_spreadsheets(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "a,b\n1,2,,\n3,4\n")
    assert [dict(row.values) for row in rows] == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_all_rows_that_cannot_be_read_are_told_at_once(tmp_path: Path) -> None:
    message = refused(tmp_path, 'a,b\n1\n2,3,4\n5,6\n"7" x,8\n9,10\n11\n"open,12\n')
    for part in (
        "a.csv:2: has 1 cells where the header has 2: ['1']",
        "a.csv:3: has 3 cells",
        "a.csv:5: not a valid table",
        "a.csv:7: has 1 cells",
        "a.csv:8: not a valid table (unexpected end of data)",
        "between quotes",
        "close each one",
    ):
        assert part in message


def test_very_long_cells(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, f"a,b\n{'x' * 1_000_000},y\n")
    assert len(rows[0].values["a"]) == 1_000_000
    assert csv.field_size_limit() == 131_072
    message = refused(tmp_path, f"a,b\n{'x' * 11_000_000},y\nz,w\n")
    assert "a.csv:2: not a valid table (field larger than field limit (10000000))" in message


cells = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(cells, cells), min_size=1, max_size=8),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], delimiter: str, name: str
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerows([("one", "two"), *rows])
    read_back, _ = read(tmp_path_factory.getbasetemp(), out.getvalue().encode(name))
    assert [tuple(row.values.values()) for row in read_back] == rows
