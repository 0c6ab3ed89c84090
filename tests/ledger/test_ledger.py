from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from optimizer.errors import LedgerError
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.schema import VERSION

PUT = "INSERT INTO meta (key, value) VALUES (?, ?)"


def count(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        found: int = connection.execute("SELECT COUNT(*) FROM meta WHERE key != 'version'").fetchone()[0]
    connection.close()
    return found


def test_meta_is_kept_over_reopening(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.db")
    ledger.put_meta("identity", {"a": [1, "é", None]})
    ledger.put_meta("identity", {"a": [2]})
    ledger.put_meta("other", 3)
    ledger.close()
    again = Ledger(tmp_path / "l.db")
    assert again.meta("identity") == {"a": [2]}
    assert again.meta("other") == 3
    assert again.meta("absent") is None
    again.close()


def test_a_resolved_write_is_on_disk_for_any_other_reader(ledger: Ledger) -> None:
    ledger.write(PUT, ("a", "1")).result(5)
    assert count(ledger.path) == 1


def test_the_file_is_durable_by_its_settings(ledger: Ledger) -> None:
    assert ledger.read("PRAGMA journal_mode")[0][0] == "wal"
    assert ledger.read("PRAGMA synchronous")[0][0] == 2


def test_a_write_gives_its_row_id(ledger: Ledger) -> None:
    sql = (
        "INSERT INTO calls (key, role, phase, request, state, started) VALUES (?, 'task', 'search', '{}', 'intent', 0)"
    )
    assert [ledger.write(sql, (str(n),)).result(5) for n in range(3)] == [1, 2, 3]


def test_many_threads_write_and_read_at_once(ledger: Ledger) -> None:
    def work(thread: int) -> int:
        for n in range(20):
            ledger.write(PUT, (f"{thread}-{n}", "0")).result(20)
            assert ledger.read("SELECT value FROM meta WHERE key = ?", (f"{thread}-{n}",))[0]["value"] == "0"
        return thread

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(work, range(8))) == list(range(8))
    assert count(ledger.path) == 160


def test_a_broken_constraint_fails_alone_in_its_batch(ledger: Ledger) -> None:
    ledger.write(PUT, ("taken", "0")).result(5)
    futures = [ledger.write(PUT, (key, "1")) for key in ("a", "taken", "b")]
    assert isinstance(futures[1].exception(5), sqlite3.IntegrityError)
    assert futures[0].exception(5) is None
    assert futures[2].exception(5) is None
    assert count(ledger.path) == 3


def test_a_failed_write_is_a_ledger_error_and_the_writer_lives_on(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="cannot be written"):
        ledger.write("INSERT INTO nowhere VALUES (1)").result(5)
    ledger.put_meta("a", 1)
    assert ledger.meta("a") == 1


@pytest.mark.parametrize("value", ["\ud83d", 2**70], ids=["half a surrogate pair", "too large an integer"])
def test_a_value_that_sqlite_cannot_hold_does_not_kill_the_writer(ledger: Ledger, value: object) -> None:
    with pytest.raises((ValueError, OverflowError)):
        ledger.write(PUT, ("a", value)).result(5)
    ledger.put_meta("b", 1)
    assert ledger.meta("b") == 1


def test_close_commits_what_is_queued(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.db")
    futures = [ledger.write(PUT, (str(n), "0")) for n in range(200)]
    ledger.close()
    assert all(future.done() and future.exception() is None for future in futures)
    assert count(tmp_path / "l.db") == 200


def test_a_second_process_is_refused(ledger: Ledger) -> None:
    code = (
        "import sys; from pathlib import Path; from optimizer.ledger.ledger import Ledger\n"
        "try: Ledger(Path(sys.argv[1]))\nexcept Exception as e: print(type(e).__name__, e)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, str(ledger.path)], capture_output=True, text=True, cwd=root)
    assert done.stdout.startswith(f"LedgerError {ledger.path.parent}: another process is working on this run")
    assert "--run-dir" in done.stdout


def test_a_reader_needs_no_lock(ledger: Ledger) -> None:
    ledger.put_meta("a", 1)
    reader = Ledger(ledger.path, exclusive=False)
    assert reader.meta("a") == 1
    reader.close()


def test_closing_lets_the_next_one_in(tmp_path: Path) -> None:
    Ledger(tmp_path / "l.db").close()
    Ledger(tmp_path / "l.db").close()


def test_a_damaged_file_is_a_ledger_error_and_lets_go_of_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    path.write_bytes(b"this is no database" * 100)
    for _ in range(2):
        with pytest.raises(LedgerError, match="not a usable ledger"):
            Ledger(path)


def test_a_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.db")
    ledger.put_meta("version", 99)
    ledger.close()
    with pytest.raises(LedgerError, match=f"version 99, this metier writes {VERSION}"):
        Ledger(tmp_path / "l.db")


def test_what_was_committed_survives_a_kill(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from optimizer.ledger.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "for n in range(5): ledger.put_meta(str(n), n)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "l.db")], cwd=root, check=False)
    assert done.returncode == -9
    again = Ledger(tmp_path / "l.db")
    assert [again.meta(str(n)) for n in range(5)] == [0, 1, 2, 3, 4]
    again.close()


def test_the_writer_thread_ends_with_close(tmp_path: Path) -> None:
    before = threading.active_count()
    ledger = Ledger(tmp_path / "l.db")
    assert threading.active_count() == before + 1
    ledger.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("pages", range(24, 64, 8))
def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path: Path, pages: int) -> None:
    ledger = Ledger(tmp_path / "l.db")
    ledger.write(f"PRAGMA max_page_count = {pages}").result(5)
    written = 0
    while (problem := ledger.write(PUT, (str(written), json.dumps("x" * 2_000))).exception(5)) is None:
        written += 1
    assert isinstance(problem, LedgerError)
    assert "the ledger cannot be written (database or disk is full)" in str(problem)
    ledger.close()
    again = Ledger(tmp_path / "l.db")
    assert [again.meta(str(number)) for number in range(written)] == ["x" * 2_000] * written
    assert again.meta(str(written)) is None
    again.close()


def test_rows_that_belong_together_are_written_together(ledger: Ledger) -> None:
    ledger.write(PUT, ("taken", "0")).result(5)
    wrong, right = (
        ledger.write_rows(PUT, [("a", "1"), ("taken", "1")]),
        ledger.write_rows(PUT, [("b", "1"), ("c", "1")]),
    )
    assert isinstance(wrong.exception(5), sqlite3.IntegrityError)
    assert right.exception(5) is None
    assert [ledger.meta(key) for key in ("a", "b", "c", "taken")] == [None, 1, 1, 0]


def test_a_second_one_may_wait(ledger: Ledger) -> None:
    got: list[Ledger] = []
    waiting = threading.Thread(target=lambda: got.append(Ledger(ledger.path, wait=True)))
    waiting.start()
    waiting.join(0.2)
    assert not got
    assert ledger.is_being_written()
    ledger.close()
    waiting.join(10)
    got[0].close()
    assert not got[0].is_being_written()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_writer_that_died(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("optimizer.ledger.ledger.commit", broken)
    future = ledger.write(PUT, ("a", "1"))
    with pytest.raises(LedgerError, match="its writer ended"):
        future.result(5)
    ledger._thread.join(5)
    with pytest.raises(LedgerError, match="is closed"):
        ledger.write(PUT, ("b", "1"))
