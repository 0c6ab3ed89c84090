from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bench import Bench

from optimizer.errors import LedgerError
from optimizer.system.files import private_file, private_folder, write_atomically


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """As most machines have it: others may read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_a_run_writes_is_its_users_alone(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.json", "{}")
    write_atomically(tmp_path / "b.json", "{}", private=False)
    assert (mode(tmp_path / "a.json"), mode(tmp_path / "b.json")) == (0o600, 0o644)
    (tmp_path / "a.json").chmod(0o644)  # of an earlier version
    write_atomically(tmp_path / "a.json", "[]")
    assert (mode(tmp_path / "a.json"), (tmp_path / "a.json").read_text()) == (0o600, "[]")


def test_a_file_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text("before")
    path.chmod(0o640)
    os.utime(path, (1, 1))
    assert private_file(path) == path
    assert (path.read_text(), mode(path), path.stat().st_mtime) == ("before", 0o640, 1)


def test_folders_that_are_made_are_private_and_others_are_left(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for _ in range(2):
        private_folder(tmp_path / "runs" / "mine")
    assert [mode(path) for path in (tmp_path, tmp_path / "runs", tmp_path / "runs" / "mine")] == [0o755, 0o700, 0o700]
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        private_folder(tmp_path / "file")


def test_a_draft_of_a_killed_process_lends_its_mode_to_nothing(tmp_path: Path) -> None:
    (tmp_path / ".a.json.draft").write_text("half")
    write_atomically(tmp_path / "a.json", "{}")
    assert mode(tmp_path / "a.json") == 0o600


def test_a_folder_that_is_not_there_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be written") as problem:
        write_atomically(tmp_path / "gone" / "a.json", "{}")
    assert "its folder is not there" in problem.value.remedy


def test_no_file_of_a_run_can_be_read_by_others(finished: Bench) -> None:
    out = finished.folder / "out"
    assert mode(out) == 0o700
    modes = {file.name: oct(mode(file)) for file in out.rglob("*") if mode(file) & 0o077}
    assert modes == {}
    assert {"ledger.db", "best.json", "report.html", "study.db", "run.log", "best.md", "result.json"} <= {
        file.name for file in out.iterdir()
    }
