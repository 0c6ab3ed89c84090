"""Runs of a task with folds: one a fold, the verdict on all of them, and the prompt of a search on all data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.jobs import lighten, make_task, rule, settings, write_config

from optimizer.config.load import load_config
from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError, Interrupted, TaskError
from optimizer.job.eval import answers_to
from optimizer.job.folds import share_of_budget
from optimizer.job.resume import stored_config
from optimizer.job.run import run_config
from optimizer.job.watcher import Watcher
from optimizer.ledger.answers import answers_of
from optimizer.ledger.reader import Reader
from optimizer.prompt.saved import load_prompt
from optimizer.report.audit import audit_of
from optimizer.task.load import load_task
from optimizer.testing.fake_server import FakeServer

FOLDS = {"train": 0.5, "validation": 0.3, "test": 0.2, "folds": 2}
CALLS = 120


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    lighten(monkeypatch.setattr)
    with FakeServer(rule) as running:
        yield running


def config(folder: Path, server: FakeServer, **changes: Any) -> Path:
    task = make_task(folder / "task", split=FOLDS)
    data = settings(task, server.api_base, budget={"calls": CALLS}, run_dir=str(folder / "out"), **changes)
    return write_config(folder / "run.yaml", data)


class Stops(Watcher):
    """Stops a run when its second fold begins."""

    def say(self, text: str) -> None:
        if text.startswith("Fold 2 of 2"):
            raise Interrupted("stopped by the test", "")


def test_the_verdict_is_that_of_all_folds_and_the_prompt_that_of_all_data(tmp_path: Path, server: FakeServer) -> None:
    path = config(tmp_path, server)
    with pytest.raises(Interrupted, match="stopped by the test"):
        run_config(path, Stops())
    assert (tmp_path / "out" / "fold-1" / "result.json").is_file()
    first = server.count
    report = run_config(stored_config(tmp_path / "out"))
    assert (report.verdict, report.folds, report.test_examples) == ("improved", 2, 72)
    assert "is not tested itself: in 2 folds prompts" in report.recommendation
    assert sum("fold " in note for note in report.notes) == 2
    folds = [json.loads((tmp_path / "out" / f"fold-{n}" / "result.json").read_text("utf-8")) for n in (1, 2)]
    assert [fold["test_examples"] for fold in folds] == [36, 36]
    mean = sum(fold["difference"]["mean"] for fold in folds) / 2
    assert report.difference == pytest.approx(mean)
    # One budget over all: of the searches together. The fold that was finished was not asked again.
    searched = [fold["usage"]["calls"]["task"] for fold in (*folds, report.to_json())]
    assert sum(searched) <= CALLS
    assert first == searched[0] + folds[0]["test_usage"]["calls"]["task"]
    assert sum(report.test_usage["calls"].values()) == 0
    count = server.count
    assert run_config(path).to_json() == report.to_json()
    assert server.count == count
    with closing(Reader(tmp_path / "out" / "ledger.db")) as ledger:
        assert len(answers_of(ledger, report.winner.candidate.id, "test")) == 72
    assert "72 examples in 2 folds" in (tmp_path / "out" / "report.md").read_text("utf-8")
    assert audit_of(tmp_path / "out")["evidence"]["from_scores"]["agrees"]
    with pytest.raises(TaskError, match="no test is left"):
        answers_to(load_task(tmp_path / "task"), load_prompt(tmp_path / "out" / "best.json", trust=True), "test")


def test_each_run_has_its_share_of_the_limits() -> None:
    whole = RunConfig.model_validate({"task": "t", "budget": {"calls": 100, "usd": 2.0, "seconds": 60}})
    share = share_of_budget(whole, 4).budget
    assert (share.calls, share.usd, share.seconds, share.tokens) == (25, 0.5, 15.0, None)
    assert share_of_budget(RunConfig(task="t"), 6).budget == RunConfig(task="t").budget


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"calls": 20}, "budget.calls: 20 is too little for the 3 runs"),
        ({"tokens": 2}, "budget.tokens: 2 is too little for the 3 runs"),
        ({"until": "07:00"}, "budget.until: 07:00 cannot be shared by the 3 runs"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_anything_is_written(
    tmp_path: Path, server: FakeServer, budget: dict[str, Any], message: str
) -> None:
    path = config(tmp_path, server)
    settings = load_config(path)
    settings = settings.model_copy(update={"budget": RunConfig.model_validate({"task": "t", "budget": budget}).budget})
    with pytest.raises(ConfigError, match=message):
        run_config(settings)
    assert not (tmp_path / "out").exists()


def test_examples_that_are_split_already_have_no_folds(tmp_path: Path) -> None:
    folder = make_task(tmp_path / "task", split=FOLDS, data={"train": "examples.jsonl", "test": "examples.jsonl"})
    with pytest.raises(TaskError, match=r"split\.folds: the examples are split already"):
        load_task(folder)
