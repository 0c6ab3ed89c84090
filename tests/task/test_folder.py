from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.errors import TaskError
from optimizer.system import files
from optimizer.task import folder as module
from optimizer.task.folder import read_folder
from optimizer.task.rows import Reading, Row


def write(root: Path, **texts: str | bytes) -> Path:
    for name, text in texts.items():
        path = root / name.replace("__", "/").replace("_txt", ".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def read(root: Path, pattern: str = "*.txt", labels: Path | None = None) -> tuple[list[Row], list[str]]:
    reading = Reading()
    rows = read_folder(root, pattern, root.name, reading, labels)
    reading.problems.refuse()
    return rows, reading.notes


def test_a_file_is_an_example(tmp_path: Path) -> None:
    root = write(tmp_path / "mails", billing__2_txt="two\nlines\n", billing__1_txt="one", other__1_txt="three", x_md="")
    write(root, **{"3_txt": "above"})
    (root / ".hidden.txt").write_text("not this")
    rows, notes = read(root)
    assert rows == [
        Row({"file": "3.txt", "folder": "mails", "text": "above"}, "mails/3.txt"),
        Row({"file": "1.txt", "folder": "billing", "text": "one"}, "mails/billing/1.txt"),
        Row({"file": "2.txt", "folder": "billing", "text": "two\nlines\n"}, "mails/billing/2.txt"),
        Row({"file": "1.txt", "folder": "other", "text": "three"}, "mails/other/1.txt"),
    ]
    assert notes == []


def test_labels_from_a_table_beside_it(tmp_path: Path) -> None:
    root = write(tmp_path / "mails", **{"1_txt": "one", "2_txt": "two", "sub__3_txt": "three"})
    (tmp_path / "labels.csv").write_text("file;team\n2.txt;billing\n1.txt;other\nsub/3.txt;other\n")
    rows, notes = read(root, labels=tmp_path / "labels.csv")
    assert [(row.values["text"], row.values["team"]) for row in rows] == [
        ("one", "other"),
        ("two", "billing"),
        ("three", "other"),
    ]
    assert notes == ["labels.csv: its columns are separated by semicolons"]


def test_names_that_do_not_fit_are_all_told(tmp_path: Path) -> None:
    root = write(tmp_path / "mails", a__1_txt="one", b__1_txt="two", a__2_txt="three")
    (tmp_path / "labels.csv").write_text("file,team\n1.txt,x\n9.txt,x\n2.txt,y\n2.txt,z\n")
    with pytest.raises(TaskError) as caught:
        read(root, labels=tmp_path / "labels.csv")
    for part in (
        "labels.csv:2: names '1.txt', which 2 files in the folder bears",
        "labels.csv:3: names '9.txt', which no file in the folder bears",
        "labels.csv:5: names '2.txt' a second time",
        "mails/a/1.txt: labels.csv has no row for it (also mails/b/1.txt)",
        "a column 'file'",
    ):
        assert part in str(caught.value)
    (tmp_path / "labels.csv").write_text("name,team\n1.txt,x\n")
    with pytest.raises(TaskError, match=r"labels.csv: no column 'file'"):
        read(root, labels=tmp_path / "labels.csv")


def test_encodings_are_told_in_one_note(tmp_path: Path) -> None:
    root = write(tmp_path / "mails", **{f"{n}_txt": "café".encode("cp1252") for n in range(4)})
    write(root, **{"5_txt": "café".encode("utf-8-sig"), "6_txt": "café".encode("utf-16")})
    rows, notes = read(root)
    assert {row.values["text"] for row in rows} == {"café"}
    assert [note.split(".")[0] for note in notes] == [
        "mails: 4 of its files read as cp1252",
        "mails: 1 of its files read as utf-16",
    ]
    write(root, **{"7_txt": b"\0", "8_txt": b"x\0", "9_txt": b"\x81", "a_txt": b"\xff\xfex"})
    with pytest.raises(TaskError) as caught:
        read(root)
    assert "mails/7.txt:1: holds a NUL byte, which no text has (also mails/8.txt:1)" in str(caught.value)
    assert "mails/9.txt:1: not valid UTF-8" in str(caught.value)
    assert "mails/a.txt: begins as UTF-16 does, but is not" in str(caught.value)


def test_a_sample_reads_only_the_files_that_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "mails", **{f"{n}_txt": f"text {n}" for n in range(40)})
    opened: list[Path] = []
    monkeypatch.setattr(module, "encoding_of", lambda path, *_, **__: opened.append(path) or "utf-8")
    rows = read_folder(root, "*.txt", "mails", Reading(sample=5), None)
    assert len(rows) == len(opened) == 5


@pytest.mark.parametrize(
    ("name", "pattern", "message"),
    [
        ("mail", "*.txt", "mails|no such folder"),
        ("mails", "*.eml", r"no file is named like '\*.eml'\n.*Its files end in .txt"),
        ("mails", "/etc/*", "pattern '/etc/.' cannot be used"),
        ("mails", "", "no file is named like ''"),
        ("mails/1.txt", "*.txt", "no such folder"),
    ],
)
def test_what_is_refused(tmp_path: Path, name: str, pattern: str, message: str) -> None:
    write(tmp_path / "mails", **{"1_txt": "one"})
    with pytest.raises(TaskError, match=message):
        read(tmp_path / name, pattern)


def test_files_that_are_too_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "mails", **{f"{n}_txt": "text" for n in range(40)})
    monkeypatch.setattr(module, "LARGEST", 100)
    with pytest.raises(TaskError, match=r"mails: its files have over 100 bytes\n.*data.sample"):
        read(root)
    assert files.LARGEST > 100
