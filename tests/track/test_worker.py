from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from report.made import candidates, result

from optimizer.errors import ConfigError, LedgerError, StoppedByFailures
from optimizer.ledger.decisions import MOVE, decisions_of
from optimizer.ledger.ledger import Ledger
from optimizer.track import worker
from optimizer.track.worker import LOCK, final_status, follow, sync

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("default")]


class Faulty:
    """In place of the copier: fails as often as it is told to, and notes each status."""

    parent = "the-parent"
    written = size = 1
    problems: list[Exception] = []  # noqa: RUF012 - one at a time
    copied: list[str] = []  # noqa: RUF012
    forgotten = 0

    def __init__(self, *values: Any, **named: Any) -> None:
        """Take what the real one takes."""

    def copy(self, status: str) -> None:
        if Faulty.problems:
            raise Faulty.problems.pop(0)
        Faulty.copied.append(status)

    def forget(self) -> None:
        Faulty.forgotten += 1


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        ledger.put_meta("run_id", "abc")
        about = {
            "uri": "http://127.0.0.1:9",
            "experiment": "metier",
            "name": "sorting",
            "params": {},
            "config": "",
            "block": 4,
        }
        ledger.put_meta("tracking", {**about, "started": 1.0, "status": "RUNNING"})
    return tmp_path


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> type[Faulty]:
    monkeypatch.setattr(worker, "Copier", Faulty)
    monkeypatch.setattr(os, "nice", lambda by: 0)
    monkeypatch.setattr(worker, "FIRST_PAUSE", 0.001)
    Faulty.problems, Faulty.copied, Faulty.forgotten = [], [], 0
    return Faulty


def set_status(run_dir: Path, status: str) -> None:
    with closing(Ledger(run_dir / "ledger.db")) as ledger:
        ledger.put_meta("tracking", {**ledger.meta("tracking"), "status": status})


def followed(run_dir: Path) -> tuple[bool, list[dict[str, Any]]]:
    news = io.StringIO()
    arrived = follow(run_dir, lambda candidate: "", io.StringIO(), news)
    return arrived, [json.loads(line) for line in news.getvalue().splitlines()]


def test_it_tries_again_until_all_has_arrived(run_dir: Path, faulty: type[Faulty]) -> None:
    faulty.problems = [
        ConnectionRefusedError(111, "Connection refused"),
        sqlite3.OperationalError("locked"),
        KeyError(),
    ]
    set_status(run_dir, "FINISHED")
    arrived, news = followed(run_dir)
    assert arrived
    assert [line["problem"] for line in news] == ["Connection refused", "locked", "KeyError", ""]
    assert {line["run_id"] for line in news} == {"the-parent"}
    assert faulty.copied[-1] == "FINISHED"
    assert faulty.forgotten == 3


def test_once_the_job_has_ended_it_gives_up_after_a_while(
    run_dir: Path, faulty: type[Faulty], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LAST_SECONDS", 0.02)
    faulty.problems = [OSError("no")] * 100_000
    arrived, news = followed(run_dir)
    assert not arrived
    assert faulty.copied == []
    assert len(news) > 1


def test_the_cause_is_told_in_one_short_line(run_dir: Path, faulty: type[Faulty]) -> None:
    wrapped = RuntimeError("HTTPConnectionPool(host=…) with a page of text\nand another" * 20)
    wrapped.__cause__ = ConnectionRefusedError(111, "Connection refused")
    faulty.problems = [wrapped, RuntimeError("first line\nsecond line"), RuntimeError("x " * 500)]
    _, news = followed(run_dir)
    told = [line["problem"] for line in news]
    assert told[:2] == ["Connection refused", "first line"]
    assert len(told[2]) <= 200


@pytest.mark.parametrize(
    ("status", "has_result", "expected"),
    [
        ("RUNNING", False, "KILLED"),
        ("RUNNING", True, "FINISHED"),
        ("FAILED", False, "FAILED"),
        ("KILLED", True, "KILLED"),
        ("FINISHED", True, "FINISHED"),
    ],
)
def test_how_a_job_ended(run_dir: Path, status: str, has_result: bool, expected: str) -> None:
    set_status(run_dir, status)
    with closing(Ledger(run_dir / "ledger.db")) as ledger:
        seed, winner, *_ = candidates()
        ledger.put_meta("result", result(seed, winner, "sorting") if has_result else None)
        assert final_status(ledger) == expected


def synced(run_dir: Path) -> str:
    said: list[str] = []
    sync(run_dir, lambda candidate: "", said.append)
    return said[0]


def test_sync_tells_what_it_wrote(run_dir: Path, made_database: Path) -> None:
    shutil.copy(made_database, run_dir / "mlflow.db")
    uri = f"sqlite:///{run_dir}/mlflow.db"
    with closing(Ledger(run_dir / "ledger.db")) as ledger:
        ledger.put_meta("tracking", {**ledger.meta("tracking"), "uri": uri})
    assert synced(run_dir) == f"1 of 1 MLflow runs written at {uri}"
    assert synced(run_dir) == f"0 of 1 MLflow runs written at {uri}"


def test_sync_of_nothing_is_refused(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LedgerError, match="no run here"):
        synced(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    with closing(Ledger(run_dir / "ledger.db")), pytest.raises(LedgerError, match="another process is working"):
        synced(run_dir)
    monkeypatch.setattr(worker, "LOCK_SECONDS", 0.01)
    with FileLock(run_dir / LOCK), pytest.raises(LedgerError, match="another process mirrors"):
        synced(run_dir)
    with closing(Ledger(run_dir / "ledger.db")) as ledger:
        ledger.put_meta("tracking", None)
    with pytest.raises(ConfigError, match="was not mirrored"):
        synced(run_dir)


def test_sync_in_an_outage_ends_with_its_own_exit_code(run_dir: Path) -> None:
    with pytest.raises(StoppedByFailures, match=r"http://127\.0\.0\.1:9 was not reached \(Connection refused\)"):
        synced(run_dir)


def test_another_mlflow_is_a_decision_that_is_kept(run_dir: Path, faulty: type[Faulty]) -> None:
    set_status(run_dir, "FINISHED")
    for uri in (None, "sqlite:////srv/other.db", "sqlite:////srv/other.db"):
        sync(run_dir, lambda candidate: "", lambda text: None, uri)
    with closing(Ledger(run_dir / "ledger.db")) as ledger:
        (decision,) = decisions_of(ledger)
    assert (decision.what, decision.value) == (MOVE, {"was": "http://127.0.0.1:9", "now": "sqlite:////srv/other.db"})


def test_a_run_that_masks_is_synced_to_another_machine_only_where_its_config_allows_that(
    run_dir: Path, faulty: type[Faulty]
) -> None:
    elsewhere = "https://mlflow.example.org"

    def allow(mlflow: bool) -> None:
        with closing(Ledger(run_dir / "ledger.db")) as ledger:
            ledger.put_meta("identity", {"config": {"privacy": {"redact": ["email"], "mlflow": mlflow}}})

    allow(False)
    with pytest.raises(ConfigError, match="MLflow on another machine would have the examples"):
        sync(run_dir, lambda candidate: "", pytest.fail, elsewhere)
    assert faulty.copied == []
    with closing(Ledger(run_dir / "ledger.db")) as ledger:
        assert (decisions_of(ledger), ledger.meta("tracking")["uri"]) == ([], "http://127.0.0.1:9")
    allow(True)
    sync(run_dir, lambda candidate: "", lambda text: None, elsewhere)
    assert len(faulty.copied) == 1
