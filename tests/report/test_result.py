from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from optimizer.errors import LedgerError
from optimizer.ledger.calls import CallTag, begin_call, count_hit, finish_call
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.result import Report, best_of_run, put_mlflow, put_result, result_of
from optimizer.ledger.trials import begin_trial, finish_trial
from optimizer.report.result import trial_counts, unspent_note, usage_json, write_result
from optimizer.system.files import write_atomically
from optimizer.types import Candidate, Usage

from .conftest import SEED, WINNER

MakeReport = Callable[..., Report]


def test_result_json_holds_the_outcome(report: MakeReport) -> None:
    data = report().to_json()
    assert (data["run_id"], data["task"], data["status"], data["verdict"]) == ("abcd", "tiny", "finished", "improved")
    assert data["seed"] == {"test_score": 0.5, "test_ci95": [0.4, 0.6], "tokens_per_call": 10.4, "cut_answers": 0}
    assert data["winner"]["candidate_id"] == WINNER.id
    assert data["winner"]["validation_score"] == 0.8
    assert data["winner"]["test_score"] == 0.75
    assert data["difference"] == {"mean": 0.25, "ci95": [0.125, 0.375]}
    assert data["trials"] == {"complete": 2, "raced_out": 3, "failed": 1}
    assert data["test_examples"] == 40
    assert data["mlflow"] is None
    assert Candidate.from_json(data["winner"]["prompt"]).id == WINNER.id


@pytest.mark.parametrize(
    ("verdict", "advice"),
    [("improved", "Use the winner"), ("inconclusive", "Keep the seed prompt"), ("worse", "Keep the seed prompt")],
)
def test_only_a_proven_winner_is_recommended(report: MakeReport, verdict: str, advice: str) -> None:
    made = report(verdict=verdict)
    assert made.recommendation.startswith(advice)
    assert made.to_json()["recommendation"] == made.recommendation


def test_result_json_is_written_whole(report: MakeReport, tmp_path: Path) -> None:
    made = report(task="café")
    write_result(made)
    text = (tmp_path / "result.json").read_text(encoding="utf-8")
    assert json.loads(text) == made.to_json()
    assert "café" in text
    assert text.endswith("}\n")
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_damaged_result_json_is_written_anew(report: MakeReport, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(b'{"a": "\xc8"}')
    write_result(report())
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["task"]


def test_writing_replaces_and_a_failure_leaves_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    write_atomically(path, "old")
    write_atomically(path, "newer")
    assert path.read_text() == "newer"

    def full(_: int) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LedgerError, match="no space"):
        write_atomically(path, "broken")
    assert path.read_text() == "newer"


@pytest.fixture
def ledger(tmp_path: Path):  # type: ignore[no-untyped-def]
    made = Ledger(tmp_path / "ledger.db")
    yield made
    made.close()


def test_usage_is_summed_with_calls_by_role(ledger: Ledger) -> None:
    for key, tag, usage in (
        ("a", CallTag("task", "search", 0), Usage(1, 0, 10, 2, 3, 0.25)),
        ("b", CallTag("prompt", "search", None), Usage(1, 0, 20, 0, 4, 0.5)),
        ("c", CallTag("task", "test", 0), Usage(1, 0, 99, 0, 99, 9.0)),
    ):
        row = begin_call(ledger, key, tag, {}).result(5)
        finish_call(ledger, row, {}, usage, 1).result(5)
        count_hit(ledger, row).result(5)
    assert usage_json(ledger, "search") == {
        "calls": {"task": 1, "prompt": 1, "judge": 0},
        "cached_calls": 2,
        "input_tokens": 30,
        "cached_input_tokens": 2,
        "output_tokens": 7,
        "usd": 0.75,
    }


def test_usage_of_nothing_is_nought(ledger: Ledger) -> None:
    found = usage_json(ledger, "test")
    assert found["calls"] == {"task": 0, "prompt": 0, "judge": 0}
    assert found["input_tokens"] == found["usd"] == 0


def test_trials_are_counted_by_their_end(ledger: Ledger) -> None:
    for number, state in enumerate(["complete", "raced_out", "raced_out", "failed", "running"]):
        begin_trial(ledger, number, SEED, {}).result(5)
        finish_trial(ledger, number, state=state).result(5)
    assert trial_counts(ledger) == {"complete": 1, "raced_out": 2, "failed": 1}


@pytest.mark.parametrize(
    ("trials", "calls", "note"),
    [
        (2, 3, "search.trials: the search ended after 2 trials with 2 of its 3 calls unspent"),
        (2, 1, ""),  # its calls ended it
        (3, 9, ""),  # something else did
        (None, 9, ""),
        (2, None, ""),
    ],
)
def test_calls_that_few_trials_left_unspent_are_told(
    ledger: Ledger, trials: int | None, calls: int | None, note: str
) -> None:
    ledger.put_meta("identity", {"config": {"search": {"trials": trials}, "budget": {"calls": calls}}})
    for number in range(2):
        begin_trial(ledger, number, SEED, {}).result(5)
    row = begin_call(ledger, "a", CallTag(), {}).result(5)
    finish_call(ledger, row, {}, Usage(1), 1).result(5)
    assert unspent_note(ledger).partition(";")[0] == note


def test_where_a_run_lies_in_mlflow_is_written_afterwards(report: MakeReport, tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        assert put_mlflow(ledger, "http://there", "r") is None  # an unfinished run has no result
        assert (result_of(ledger), best_of_run(ledger)) == (None, None)
        begin_trial(ledger, 0, SEED, {}).result(5)
        put_result(ledger, report(), "{}")
        found = put_mlflow(ledger, "http://there", "r")
        assert found == result_of(ledger)
        assert best_of_run(ledger) == "{}"
    assert found is not None
    assert found.to_json() == {**report().to_json(), "mlflow": {"tracking_uri": "http://there", "run_id": "r"}}


def test_a_run_of_before_has_its_prompt_in_its_folder(report: MakeReport, tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        ledger.put_meta("result", report().to_json())
        assert best_of_run(ledger) is None
        (tmp_path / "best.json").write_text("{}")
        assert best_of_run(ledger) == "{}"
