"""Copies of a folder: whole or not believed, wherever their writer is killed; and which of two sides went on."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import ConfigError, LedgerError
from optimizer.sweep.copies import MARKS, Copies, marks, snapshot


class Killed(BaseException):
    """The process that copies is killed here."""


def write(folder: Path, value: int) -> Path:
    """Write a folder with a ledger in which `value` is committed, and a file that repeats it."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)) as ledger:
        ledger.execute("PRAGMA journal_mode = WAL")
        ledger.execute("CREATE TABLE IF NOT EXISTS answers (value INTEGER)")
        ledger.execute("INSERT INTO answers VALUES (?)", (value,))
    (folder / "report.html").write_text(f"<p>{value}</p>")
    return folder


def read(folder: Path) -> list[int]:
    """Return what a folder holds, which is of one moment."""
    with closing(sqlite3.connect(folder / "ledger.db")) as ledger:
        values = [row[0] for row in ledger.execute("SELECT value FROM answers ORDER BY value")]
    assert (folder / "report.html").read_text() == f"<p>{values[-1]}</p>"
    return values


def killed_at(copies: Copies, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the process die in the step-th change of the store, half of which is done."""
    files, count = copies._files, iter(range(1000))

    def dying(name: str) -> Any:
        real = getattr(files, name)

        def change(path: str, *rest: Any, **options: Any) -> Any:
            if next(count) == step:
                if name == "pipe_file":
                    real(path, rest[0][: len(rest[0]) // 2])
                if name == "put_file":
                    cut = Path(path).with_suffix(".cut")
                    cut.write_bytes(Path(path).read_bytes()[:-1])
                    real(str(cut), *rest)
                raise Killed
            return real(path, *rest, **options)

        return change

    for name in ("put_file", "pipe_file", "mv", "rm"):
        monkeypatch.setattr(files, name, dying(name), raising=False)


def test_a_copy_is_brought_to_a_machine_that_lacks_it(tmp_path: Path) -> None:
    here, there = write(tmp_path / "here", 1), tmp_path / "there"
    copies = Copies(str(tmp_path / "store"))
    assert not copies.fetch("cells/a", there, "ledger.db"), "nothing was copied yet"
    copies.put("cells/a", here)
    assert copies.fetch("cells/a", there, "ledger.db")
    assert read(there) == [1]
    assert not copies.fetch("cells/a", there, "ledger.db"), "it has it"
    assert sorted(path.name for path in there.iterdir()) == [MARKS, "ledger.db", "report.html"]
    assert (there / "ledger.db").stat().st_mode & 0o077 == 0


def test_who_went_on_is_known(tmp_path: Path) -> None:
    here, there, copies = write(tmp_path / "here", 1), tmp_path / "there", Copies(str(tmp_path / "store"))
    copies.put("a", here)
    copies.fetch("a", there, "ledger.db")
    write(there, 2)
    copies.put("a", there)
    write(here, 3)
    with pytest.raises(LedgerError, match="another process has gone on with it"):
        copies.put("a", here)
    assert copies.fetch("a", here, "ledger.db")
    assert read(here) == [1, 2]
    (aside,) = (here / "older").iterdir()
    with closing(sqlite3.connect(aside / "ledger.db")) as ledger:
        assert ledger.execute("SELECT COUNT(*) FROM answers").fetchone() == (2,), "what was replaced is kept"
    write(here, 4)
    assert not copies.fetch("a", here, "ledger.db"), "it went on itself"
    copies.put("a", here)
    assert len([*(tmp_path / "store" / "a").iterdir()]) == 1, "what is replaced is deleted"
    assert not [*(tmp_path / "store").rglob("older*")]


@settings(max_examples=15)
@given(steps=st.lists(st.integers(0, 6), min_size=1, max_size=4))
def test_a_killed_copy_is_not_believed(tmp_path_factory: pytest.TempPathFactory, steps: list[int]) -> None:
    """Each round something is committed and copied, perhaps killed in it: what is brought is what some copy had."""
    tmp_path = tmp_path_factory.mktemp("killed")
    here, whole = tmp_path / "here", 0
    for number, step in enumerate(steps, start=1):
        write(here, number)
        copies = Copies(str(tmp_path / "store"))
        with pytest.MonkeyPatch.context() as patch:
            killed_at(copies, patch, step)
            with suppress(Killed):
                copies.put("a", here)
            whole = number if step > 3 else whole
        fresh = tmp_path / f"fresh-{number}"
        brought = Copies(str(tmp_path / "store")).fetch("a", fresh, "ledger.db")
        assert brought == (whole > 0)
        assert not brought or read(fresh) == [*range(1, whole + 1)]
    assert not Copies(str(tmp_path / "store")).fetch("a", here, "ledger.db"), "its writer is never behind its copy"
    Copies(str(tmp_path / "store")).put("a", here)
    assert len([*(tmp_path / "store" / "a").iterdir()]) == 1, "what killed processes left is deleted"


def test_damage_is_told(tmp_path: Path) -> None:
    copies = Copies(str(tmp_path / "store"))
    copies.put("a", write(tmp_path / "here", 1))
    (version,) = (tmp_path / "store" / "a").iterdir()
    (version / "report.html").write_text("<p>2</p>")
    with pytest.raises(LedgerError, match="is damaged"):
        copies.fetch("a", tmp_path / "there", "ledger.db")
    assert [*(tmp_path / "there").iterdir()] == []
    entry = json.loads((version / "manifest.json").read_text())["files"]["ledger.db"]
    for files in ({"../out": entry}, {"/out": entry}, {"ledger.db": {}}, []):
        (version / "manifest.json").write_text(json.dumps({"files": files}))
        with pytest.raises(LedgerError, match="is damaged"):
            copies.fetch("a", tmp_path / "there", "ledger.db")


def test_a_brought_folder_is_checked_before_it_is_used(tmp_path: Path) -> None:
    copies = Copies(str(tmp_path / "store"))
    copies.put("a", write(tmp_path / "here", 1))

    def refuse(folder: Path) -> None:
        assert read(folder) == [1]
        raise LedgerError("another one")

    with pytest.raises(LedgerError, match="another one"):
        copies.fetch("a", tmp_path / "there", "ledger.db", refuse)
    assert [*(tmp_path / "there").iterdir()] == []


def test_a_database_is_copied_while_it_is_written(tmp_path: Path) -> None:
    write(tmp_path / "here", 1)
    with closing(sqlite3.connect(tmp_path / "here" / "ledger.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO answers VALUES (2)")
        snapshot(tmp_path / "here" / "ledger.db", tmp_path / "copy.db")
        writer.execute("COMMIT")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT value FROM answers").fetchall() == [(1,)], "only what is committed"
    (tmp_path / "here" / "bad.db").write_text("no database, but of more bytes than a header has: " * 5)
    with pytest.raises(OSError, match=r"bad\.db: cannot be copied"):
        snapshot(tmp_path / "here" / "bad.db", tmp_path / "other.db")


def test_what_goes_wrong_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secretword")
    copies = Copies("memory://nights")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no answer to secretword\nand more")

    monkeypatch.setattr(type(copies._files), "find", fail)
    with pytest.raises(OSError, match=r"^memory://nights: no answer to \*\*\*$"):
        copies.put("a", write(tmp_path / "here", 1))
    with pytest.raises(ConfigError, match=r"artifacts: moon://x cannot be opened \(Protocol not known: moon"):
        Copies("moon://x")


def test_marks_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    (tmp_path / MARKS).write_text("[")
    assert marks(tmp_path, "x") == []
    (tmp_path / MARKS).write_text("[]")
    assert marks(tmp_path, "x") == []
