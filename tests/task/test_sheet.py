from __future__ import annotations

import datetime as dt
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from optimizer.errors import TaskError
from optimizer.system import files
from optimizer.task.data import read_rows
from optimizer.task.rows import Reading, Row

openpyxl = pytest.importorskip("openpyxl")


def write(path: Path, **sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_values_are_as_json_has_them(tmp_path: Path) -> None:
    rows = [
        [None, None],
        [" id ", "when", "day", "ok", "size", None, "text"],
        [1.0, dt.datetime(2024, 3, 1, 10, 30), dt.date(2024, 3, 2), True, 1.5, "no header", "Hello"],
        [None, None, None, None, None, None, None],
        [2, None, "soon"],
    ]
    path = write(tmp_path / "a.xlsx", Tickets=rows)
    reading = Reading()
    assert read_rows(path, "a.xlsx", reading) == [
        Row(
            {"id": 1, "when": "2024-03-01T10:30:00", "day": "2024-03-02", "ok": True, "size": 1.5, "text": "Hello"},
            "a.xlsx:3",
        ),
        Row({"id": 2, "when": None, "day": "soon", "ok": None, "size": None, "text": None}, "a.xlsx:5"),
    ]
    assert reading.notes == []


def test_a_sheet_is_named_or_is_the_first(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", One=[["a"], [1]], Two=[["a"], [2]])
    reading = Reading()
    assert read_rows(path, "a.xlsx", reading)[0].values == {"a": 1}
    assert reading.notes == ["a.xlsx: the sheet 'One' is read; data.sheet names another: 'Two'"]
    reading = Reading(sheet="Two")
    assert read_rows(path, "a.xlsx", reading)[0].values == {"a": 2}
    assert reading.notes == []
    with pytest.raises(TaskError, match=r"a.xlsx: no sheet 'two'\n.*did you mean 'Two'\?"):
        read_rows(path, "a.xlsx", Reading(sheet="two"))


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.xlsx", One=[["a", "a "], [1, 2]])
    with pytest.raises(TaskError, match=r"a.xlsx:1: the column 'a' is there twice"):
        read_rows(path)
    with pytest.raises(TaskError, match=r"a.xlsx: has no examples"):
        read_rows(write(tmp_path / "a.xlsx", One=[["a"], [None]]))
    with pytest.raises(TaskError, match=r"a.xlsx: has no examples"):
        read_rows(write(tmp_path / "a.xlsx", One=[]))
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w") as other:
        other.writestr("readme.txt", "hello")
    with pytest.raises(TaskError, match=r"b.xlsx: cannot be read as a workbook"):
        read_rows(tmp_path / "b.xlsx")
    monkeypatch.setattr(files, "LARGEST", 100)
    with pytest.raises(TaskError, match="at most 100 are read"):
        read_rows(path)


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.xlsx", One=[["a"], [1]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(TaskError, match=r"pip install 'metier\[excel\]'"):
        read_rows(path)
