from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.jobs import make_task, settings
from track.finished import best_json, outcome

import optimizer.job.window
from optimizer.config.schema import RunConfig
from optimizer.job.window import load_task_of
from optimizer.ledger.facts import SOURCES
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.result import put_result
from optimizer.task.traces import Window

NO_FILES: dict[str, Any] = {"folder": ".", "files": [], "hub": None, "licence": None}


def time(day: int) -> str:
    return f"2026-01-0{day}T00:00:00.000+00:00"


def note(folder: Path, task: Path, day: int, finished: bool = True, since: str | None = None) -> None:
    """Leave a ledger as a run of a task does whose newest trace is of a day of January, read on the next."""
    folder.mkdir(parents=True)
    traces = {
        "mlflow": "sqlite mlflow.db",
        "experiment": "support",
        "filter": None,
        "since": since,
        "until": None,
        "traces": 9,
        "looked_through": 10,
        "digest": "0" * 16,
        "newest": time(day),
        "as_of": time(day + 1),
    }
    with closing(Ledger(folder / "ledger.db")) as ledger:
        ledger.put_meta("task_path", str(task.resolve()))
        ledger.put_meta(SOURCES, NO_FILES | {"traces": traces})
        if finished:
            put_result(ledger, outcome(folder), json.dumps(best_json()))


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[Window | None]:
    """The windows that tasks are loaded with; no MLflow is asked."""
    seen: list[Window | None] = []

    def load(path: str, *, scored: bool = True, window: Window | None = None) -> None:
        seen.append(window)

    monkeypatch.setattr(optimizer.job.window, "load_task", load)
    return seen


def config(task: Path, run_dir: Path | None = None) -> RunConfig:
    return RunConfig(**settings(task, run_dir=None if run_dir is None else str(run_dir)))


def traced(folder: Path, **more: str) -> Path:
    return make_task(folder / "task", data={"mlflow": {"experiment": "support", **more}})


def test_a_run_that_was_begun_sees_what_it_saw(tmp_path: Path, windows: list[Window | None]) -> None:
    for since in ({}, {"since": "last run"}, {"since": "2026-01-01"}):
        task = traced(tmp_path, **since)
        run = tmp_path / f"{len(windows)}" / "mine"
        note(run, task, 4, finished=False, since=time(2))
        load_task_of(config(task, run))
    assert windows == [Window(since=time(2), as_of=time(5))] * 3


def test_the_last_finished_run_of_the_same_task_is_gone_on_from(
    tmp_path: Path, windows: list[Window | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, runs = traced(tmp_path, since="last run"), tmp_path / "runs"
    load_task_of(config(task, runs / "new"))
    note(runs / "a", task, 3)
    note(runs / "b", task, 2)
    note(runs / "cut-off", task, 4, finished=False)
    note(runs / "other", tmp_path / "other", 5)
    (runs / "broken").mkdir()
    (runs / "broken" / "ledger.db").write_text("no ledger")
    load_task_of(config(task, runs / "new"))
    monkeypatch.chdir(tmp_path)
    load_task_of(config(task))
    assert windows == [Window(), Window(since=time(3)), Window(since=time(3))]


def test_a_task_without_traces_has_no_window(tmp_path: Path, windows: list[Window | None]) -> None:
    task = make_task(tmp_path / "task")
    note(tmp_path / "run", task, 3)
    load_task_of(config(task, tmp_path / "run"))
    assert windows == [None]
    windows.clear()
    load_task_of(config(traced(tmp_path), tmp_path / "new"))
    assert windows == [Window()]
