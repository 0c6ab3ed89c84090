from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from optimizer.errors import TaskError
from optimizer.task import blocks, table
from optimizer.task.blocks import Block, NotPlainError, blocks_of
from optimizer.task.rows import InBlocks, Reading, Records, Row, keep

LONGEST = 10_000_000


def read(path: Path, encoding: str = "utf-8", delimiter: str = ",", longest: int = LONGEST) -> list[Block]:
    return list(blocks_of(path, encoding, delimiter, longest))


def file(folder: Path, content: bytes) -> Path:
    path = folder / "a.csv"
    path.write_bytes(content)
    return path


def test_rows_have_their_lines_and_cells(tmp_path: Path) -> None:
    path = file(tmp_path, b'\xef\xbb\xbfa,b\r\n"1,\r\n""x""",2\r\n\r\n,\r\n\xc2\xa0,\t\r\n3,4')
    block, last = read(path, "utf-8-sig")
    assert list(block) == [(1, ["a", "b"]), (2, ['1,\r\n"x"', "2"])]
    assert (block.blank, list(last)) == (2, [(7, ["3", "4"])])
    assert list(block[1:]) == list(block)[1:]


@pytest.mark.parametrize(
    "content", [b'a,b\n1,5" wide\n', b'a\n"x" y\n', b'a\n"x\n', b"a\rb\r", b"a\n\0\n", b'a,b\n1, "x"\n', b'"a""b,\n']
)
def test_what_is_not_plain_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(NotPlainError):
        read(file(tmp_path, content))


def test_rows_beyond_the_longest_are_refused(tmp_path: Path) -> None:
    assert len(read(file(tmp_path, b"a\n" + b"x" * 50 + b"\n"), longest=50)[0]) == 2
    with pytest.raises(NotPlainError):
        read(file(tmp_path, b"a\n" + b"x" * 51 + b"\nb\n"), longest=50)


def both(path: Path, encoding: str, delimiter: str) -> tuple[list[object], list[object]]:
    """Return what each of the two readers says of a table: rows, notes and problems."""
    results: list[list[object]] = []
    for fast in (False, True):
        reading = Reading(sample=7, seed=1)
        one = table.Table(path, "a.csv", reading, encoding, {"delimiter": delimiter, "skipinitialspace": False}, False)
        try:
            rows: object = keep(Records(InBlocks(one.blocks()) if fast else one.rows(), one.row), "a.csv", reading)
            reading.problems.refuse()
        except TaskError as problem:
            rows = str(problem)
        results.append([rows, reading.notes, one.header])
    return results[0], results[1]


letters = st.text(st.sampled_from('ab ,;"\n\r\t\u00a0\u3000\u0085é'), max_size=6)


@settings(max_examples=300, deadline=None)
@given(letters.map(lambda text: text * 3), st.integers(1, 9), st.sampled_from([("utf-8-sig", ","), ("cp1252", ";")]))
@example('a\n"\n', 1, ("utf-8-sig", ","))
@example('a,b\n"",\n,""\n', 2, ("utf-8-sig", ","))
def test_whatever_stands_there_both_readers_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, text: str, chunk: int, kind: tuple[str, str]
) -> None:
    path = file(tmp_path_factory.getbasetemp(), text.encode(kind[0], "replace"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "CHUNK", chunk)
        slow, fast = both(path, *kind)
    assert fast == slow


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=12),
    st.integers(1, 40),
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_is_read_without_the_slow_reader(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], chunk: int, delimiter: str, quoting: int, end: str
) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)  # type: ignore[arg-type]
    path = file(tmp_path_factory.getbasetemp(), out.getvalue().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "CHUNK", chunk)
        read_back = [cells for block in read(path, delimiter=delimiter) for _, cells in block]
    assert read_back == [row for row in rows if any(row) and not "".join(row).isspace()]


def test_a_large_table_is_read_in_blocks_and_the_sample_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(f'{number},"text, {number}\n"\n' for number in range(3000))
    (tmp_path / "a.csv").write_text(f"n,text\n{lines}", encoding="utf-8")
    slow, fast = Reading(sample=20, seed=5), Reading(sample=20, seed=5)
    rows = table.read_table(tmp_path / "a.csv", "a.csv", slow, ",")
    monkeypatch.setattr(table, "LARGE", 0)
    monkeypatch.setattr(blocks, "CHUNK", 1000)
    monkeypatch.setattr(table.Table, "rows", None)
    assert table.read_table(tmp_path / "a.csv", "a.csv", fast, ",") == rows
    assert slow.notes == fast.notes
    assert rows[0] == Row({"n": str(number := int(rows[0].values["n"])), "text": f"text, {number}\n"}, rows[0].origin)
