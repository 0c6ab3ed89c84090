"""Files as people have them: each loads, or is refused by one message with all that is wrong and what to do."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import pytest

from optimizer.errors import TaskError
from optimizer.task.load import load_task
from optimizer.task.task import Task

from .conftest import LABELS, WriteTask, lines, records

ROWS = records(24)
FILE = tuple[str, bytes]


def table(rows: list[dict[str, Any]] = ROWS, delimiter: str = ",", encoding: str = "utf-8") -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode(encoding)


def changed(*numbers: int, **values: Any) -> list[dict[str, Any]]:
    return [{**row, **values} if number in numbers else row for number, row in enumerate(ROWS)]


def workbook(rows: list[dict[str, Any]]) -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book, out = openpyxl.Workbook(), io.BytesIO()
    for row in ([*rows[0]], *([*row.values()] for row in rows)):
        book.active.append(row)
    book.save(out)
    return out.getvalue()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


NAMED = {**ROWS[0], "message": "Ünïcode – wie es ist"}
DAY = dt.datetime(2024, 3, 1, 10)
ACCENTED = [{**row, "message": f"café {n} à Zürich"} for n, row in enumerate(ROWS)]
TYPED = {"intent": {"type": "bool"}}
# Which file it is, the task's changes, and what its notes have to say.
LOADS: dict[str, tuple[FILE, dict[str, Any], list[str]]] = {
    "semicolons": (("a.csv", table(delimiter=";")), {}, ["separated by semicolons"]),
    "tabs called .csv": (("a.csv", table(delimiter="\t")), {}, ["separated by tabs"]),
    "BOM": (("a.csv", table(encoding="utf-8-sig")), {}, []),
    "UTF-16": (("a.csv", table(ACCENTED, "\t", "utf-16")), {}, ["read as UTF-16", "separated by tabs"]),
    "cp1252": (("a.csv", table(ACCENTED, encoding="cp1252")), {}, ["read as cp1252", "save it as UTF-8"]),
    "blank rows": (("a.csv", table().replace(b"\r\n", b"\r\n\r\n ,\r\n", 5)), {}, ["5 rows without a value left out"]),
    "blank rows at the end": (("a.csv", table() + b",\r\n" * 900), {}, ["900 rows without a value"]),
    "mixed case labels": (
        ("a.csv", table(changed(1, 4, intent="Card"))),
        {"repair": ["fold_case"]},
        ["fold_case wrote the label as in choices in 2 rows"],
    ),
    "ids and other columns": (("a.csv", table([{"id": n, **row, "x": ""} for n, row in enumerate(ROWS)])), {}, []),
    "nested JSON": (
        ("a.json", json.dumps([{**row, "message": {"text": [row["message"], {"n": 1}]}} for row in ROWS]).encode()),
        {"inputs": {"message": {"type": "json"}}},
        [],
    ),
    "Excel dates": (
        ("a.xlsx", workbook([{**row, "at": DAY + dt.timedelta(days=n)} for n, row in enumerate(ROWS)])),
        {"split": {"time": "at"}},
        [],
    ),
    "Excel numbers": (
        ("a.xlsx", workbook([{"message": 1000 + n, "intent": float(n % 2)} for n in range(20)])),
        {"outputs": {"intent": {"choices": ["0", "1"]}}},
        [],
    ),
    "one class missing": (
        ("a.csv", table([row for row in ROWS if row["intent"] != "loan"])),
        {},
        ["test: no example of intent = loan"],
    ),
    "free text": (
        ("a.csv", table([{**row, "intent": f'She said "{n}", then left; ok?'} for n, row in enumerate(ROWS)])),
        {"outputs": {"intent": {}}},
        [],
    ),
    "quoted line ends": (
        ("a.csv", table([{**r, "message": f"{r['message']}\nsecond,\r\nthird"} for r in ROWS])),
        {},
        [],
    ),
    "numbers as text": (
        ("a.csv", table([{**row, "intent": f" {n}.50 "} for n, row in enumerate(ROWS)])),
        {"outputs": {"intent": {"type": "float"}}},
        [],
    ),
    "very long cells": (("a.csv", table(changed(3, message="long " * 100_000))), {}, []),
    "duplicate rows": (
        ("a.csv", table([*ROWS, *ROWS[:3]])),
        {"repair": ["drop_duplicates"]},
        ["drop_duplicates left out 3 rows"],
    ),
    "conflicting labels": (
        ("a.csv", table([*ROWS, {**ROWS[0], "intent": "loan"}])),
        {"repair": ["drop_conflicting"]},
        ["drop_conflicting left out 2 rows"],
    ),
    "header with spaces": (("a.csv", table().replace(b"message,intent", b' message , "intent "')), {}, []),
    "a column of NULLs beside": (("a.parquet", parquet([{**row, "note": None} for row in ROWS])), {}, []),
    "yes and no": (
        ("a.csv", table([{**row, "intent": ("yes", "No")[n % 2]} for n, row in enumerate(ROWS)])),
        {"outputs": TYPED},
        [],
    ),
    "true and false": (
        ("a.jsonl", lines([{**row, "intent": n % 2 == 0} for n, row in enumerate(ROWS)]).encode()),
        {"outputs": TYPED},
        [],
    ),
    "dates of Parquet": (
        ("a.parquet", parquet([{**row, "at": DAY.date() + dt.timedelta(days=n)} for n, row in enumerate(ROWS)])),
        {"split": {"time": "at"}, "inputs": {"message": {}, "at": {}}},
        [],
    ),
    "Excel's sep=": (("a.csv", b"sep=;\r\n" + table(delimiter=";")), {}, []),
    "a spreadsheet's empty cells": (("a.csv", table().replace(b"\r\n", b",,\r\n")), {}, []),
}


def load(write_task: WriteTask, file: FILE, changes: dict[str, Any]) -> Task:
    data = {"path": file[0], **{key: changes[key] for key in ("repair", "sample", "sheet") if key in changes}}
    others = {key: value for key, value in changes.items() if key not in data}
    return load_task(write_task(dict([file]), **{**others, "data": data}))


@pytest.mark.parametrize("name", LOADS)
def test_it_loads(name: str, write_task: WriteTask) -> None:
    file, changes, notes = LOADS[name]
    task = load(write_task, file, changes)
    assert len(task.train) + len(task.validation) + len(task.test) >= 16
    assert all(any(part in note for note in task.notes) for part in notes), task.notes
    if "time" in changes.get("split", {}):
        assert all(isinstance(value, str) for value in task.train[0].inputs.values())


REFUSED: dict[str, tuple[FILE, dict[str, Any], list[str]]] = {
    "mixed case labels": (
        ("a.csv", table(changed(1, 4, 7, 10, intent="Card"))),
        {},
        ["a.csv:3: 'intent' is 'Card'", "(also a.csv:6, a.csv:9 and 1 more)", "add repair: [fold_case] under data"],
    ),
    "duplicate rows": (("a.csv", table([*ROWS, *ROWS[:3]])), {}, ["a.csv:4 and a.csv:28", "repair: [drop_duplicates]"]),
    "conflicting labels": (
        ("a.csv", table([*ROWS, {**ROWS[0], "intent": "loan"}])),
        {},
        ["a.csv:2 and a.csv:26 have the same input", "different outputs", "repair: [drop_conflicting]"],
    ),
    "a label column of NULLs": (
        ("a.parquet", parquet([{**row, "intent": None} for row in ROWS])),
        {},
        ["a.parquet row 1: 'intent' is empty (also a.parquet row 2, a.parquet row 3 and 21 more)"],
    ),
    "another header": (
        ("a.csv", table([{"Message": row["message"], "team": row["intent"]} for row in ROWS])),
        {},
        ["no column 'message'", "did you mean 'Message'?", "no column 'intent'", "fields: {intent: column}"],
    ),
    "no header": (("a.csv", table().split(b"\r\n", 1)[1]), {}, ["no column 'message'", "no column 'intent'"]),
    "decimal commas": (
        ("a.csv", table([{**row, "intent": f"{n},5"} for n, row in enumerate(ROWS)], ";")),
        {"outputs": {"intent": {"type": "float"}}},
        ["'intent' is '0,5', a str, not a finite number; a decimal comma is written as a point"],
    ),
    "a NUL": (("a.csv", table().replace(b"message 3", b"message\0 3")), {}, ["a.csv:5: holds a NUL byte"]),
    "no table": (("a.csv", b"PK\x03\x04\x00\x81\xff" * 90), {}, ["not valid UTF-8", "Save it as UTF-8"]),
    "unquoted commas": (
        ("a.csv", table().replace(b"message 5", b"message, 5").replace(b"message 9", b"message, 9")),
        {},
        ["a.csv:7: has 3 cells where the header has 2", "a.csv:11: has 3 cells", "between quotes"],
    ),
    "times that are none": (
        ("a.csv", table([{**row, "at": "03/04/2024" if n % 2 else "soon"} for n, row in enumerate(ROWS)])),
        {"split": {"time": "at"}},
        ["'at' is 'soon', which is no time (also", "'at' is '03/04/2024', which is no time", "ISO 8601"],
    ),
    "all at once": (
        (
            "a.csv",
            table([*changed(1, 2, intent="BILL", message=" "), {**ROWS[5], "intent": "loan "}, ROWS[7]])
            + b"x,y,z\r\nw\r\nu,refund\r\n",
        ),
        {"split": {"group": "customer"}},
        [
            *("a.csv:28: has 3 cells", "a.csv:29: has 1 cells", "no column 'customer' to split by", "'refund'"),
            *("a.csv:3: 'intent' is 'BILL'", "a.csv:3: the input message is empty", "a.csv:26: 'intent' is 'loan '"),
            "repair: [fold_case, drop_blank, trim]",
        ],
    ),
    "a wrong sheet": (("a.xlsx", workbook(ROWS)), {"sheet": "Tickets"}, ["no sheet 'Tickets'", "known: Sheet."]),
    "a sheet of no workbook": (("a.csv", table()), {"sheet": "x"}, ["sheet is of a workbook (.xlsx)"]),
    "a sample of none": (("a.csv", table()), {"sample": 0}, ["'data.sample'", "greater than or equal to 1"]),
    "a group and a time": (
        ("a.csv", table()),
        {"split": {"group": "a", "time": "b"}},
        ["give group or time, not both"],
    ),
    "a misspelt key": (("a.csv", table()), {"split": {"groups": "a"}}, ["unknown key 'split.groups'", "mean 'group'?"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_one_message(name: str, write_task: WriteTask) -> None:
    file, changes, parts = REFUSED[name]
    with pytest.raises(TaskError) as caught:
        load(write_task, file, changes)
    assert caught.value.remedy
    for part in parts:
        assert part in str(caught.value)


def test_a_messy_table_of_mails_takes_one_round(write_task: WriteTask) -> None:
    """A hundred and twenty mails with ten kinds of dirt: what one message tells is all that has to be mended."""
    rows = records(120)
    for number, change in {
        **{n: {"intent": "Bill"} for n in (3, 30, 60)},
        **{n: {"intent": "card "} for n in (4, 31)},
        **{n: {"intent": ""} for n in (5, 32)},
        **{n: {"intent": "crad"} for n in (6, 33)},
        **{n: {"message": ""} for n in (7, 34)},
        9: {"message": "message 8"},
        10: {"message": "message 8", "intent": "loan"},
    }.items():
        rows[number] |= change
    broken = table(rows).replace(b"message 50,", b"message, 50,").replace(b"message 51,", b"message 51")
    with pytest.raises(TaskError) as caught:
        load(write_task, ("a.csv", broken), {})
    message = str(caught.value)
    for part in ("a.csv:5:", "a.csv:6:", "a.csv:7:", "a.csv:8:", "a.csv:9:", "a.csv:52:", "a.csv:53:", "a.csv:10 and"):
        assert part in message
    for row, change in ((6, "card"), (33, "card")):
        rows[row]["intent"] = change
    repair = ["trim", "fold_case", "drop_blank", "drop_duplicates", "drop_conflicting"]
    assert load(write_task, ("a.csv", table(rows)), {"repair": repair}).train


def test_a_sample_is_the_same_rows_for_the_same_seed(write_task: WriteTask) -> None:
    def ids(seed: int) -> list[str]:
        task = load(write_task, ("a.csv", table(records(500))), {"sample": 50, "split": {"seed": seed}})
        assert len(task.train) + len(task.validation) + len(task.test) == 50
        return [example.id for example in (*task.train, *task.validation, *task.test)]

    assert ids(0) == ids(0) != ids(1)


def test_a_folder_by_label(write_task: WriteTask, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"mails/{LABELS[n % 3]}/{n}.txt": f"text {n}" for n in range(24)}
    fields = {"message": "text", "intent": "folder"}
    task = load_task(write_task(files, fields=fields, data={"folder": "mails"}))
    assert {task.outputs["intent"].choices} == {LABELS}
    assert len(task.train) + len(task.validation) + len(task.test) == 24


def test_what_changes_examples_changes_the_fingerprint(write_task: WriteTask) -> None:
    rows = [{**row, "customer": n // 4, "at": f"2024-03-{n + 1:02}"} for n, row in enumerate(ROWS)]
    changes: list[dict[str, Any]] = [
        {},
        {"split": {"group": "customer"}},
        {"split": {"time": "at"}},
        {"sample": 20},
        {"split": {"seed": 1}},
    ]
    prints = [load(write_task, ("a.csv", table(rows)), change).fingerprint for change in changes]
    assert len(set(prints)) == len(prints)
    assert load(write_task, ("a.csv", table(rows)), {"repair": ["trim"]}).fingerprint == prints[0]


def test_a_table_in_memory_takes_the_same_keys() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([{**row, "customer": n // 4} for n, row in enumerate(ROWS)])
    frame["at"] = pandas.date_range("2024-01-01", periods=len(frame))
    settings: dict[str, Any] = {"inputs": ["message"], "outputs": {"intent": LABELS}, "instruction": "Sort it."}
    for split in ({"group": "customer"}, {"time": "at"}):
        task = Task(examples=frame, split=split, **settings)
        assert len(task.train) + len(task.validation) + len(task.test) == 24
        assert Task(examples=frame.to_dict("records"), split=split, **settings).fingerprint == task.fingerprint
    by_time = Task(examples=frame, split={"time": "at"}, **settings)
    numbers = [[int(e.inputs["message"].split()[1]) for e in part] for part in (by_time.train, by_time.test)]
    assert max(numbers[0]) < min(numbers[1])
    with pytest.raises(TaskError, match="no column 'client' to split by"):
        Task(examples=frame, split={"group": "client"}, **settings)
    frame.loc[3, "customer"] = None
    with pytest.raises(TaskError, match="'customer' is NaN"):
        Task(examples=frame, split={"group": "customer"}, **settings)
