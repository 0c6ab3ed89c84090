from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import all_trials, begin_trial, finish_trial, put_scores
from optimizer.track.content import Source, best_so_far, job_entry, trial_entry, trial_mark
from optimizer.types import Candidate, Failure, Prompt, Score, Usage

CANDIDATE = Candidate({"predict": Prompt("Sort it.")})
SOURCE = Source(
    lambda candidate: candidate.id, 2, {"a": {"inputs": {"text": "an owl"}, "outputs": {"kind": "bird", "n": 2}}}
)
ABOUT = {"name": "sorting 1", "params": {"seed": 1}, "config": "seed: 1\n", "started": 1.0, "ended": 9.0}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.db")) as opened:
        yield opened


def end(ledger: Ledger, number: int, state: str = "complete", **changes: Any) -> None:
    begin_trial(ledger, number, CANDIDATE, {"predict.instruction": "x" * 900}).result()
    figures = {"value": 0.5, "score": 0.5, "low": 0.1, "high": 0.9, "seen": 5, "failures": 1, **changes}
    finish_trial(ledger, number, state=state, reason="why", **figures).result()


def test_a_trials_running_score_and_table(ledger: Ledger) -> None:
    results = [Score(1.0, {"kind": "bird", "n": 2}), Score(0.0, {"kind": "owl"}), Failure("timeout", "too slow")]
    results += [Score(1.0), Score(0.0), Score(1.0)]  # the last was seen after this trial had ended, by another
    put_scores(ledger, CANDIDATE.id, "validation", 0, list("abcdef"), "m", results).result()
    end(ledger, 3)
    (row,) = all_trials(ledger)
    entry = trial_entry(ledger, row, Usage(calls=4), SOURCE)
    assert [(p.step, p.value) for p in entry.points if p.name == "score"] == [(2, 0.5), (4, 2 / 3), (5, 0.5)]
    assert {p.name: p.value for p in entry.points}["calls"] == 4
    table = json.loads(entry.files["examples.json"])
    assert table["columns"] == ["example", "input", "expected", "answer", "score", "feedback", "error"]
    assert table["data"][0] == ["a", "an owl", '{"kind": "bird", "n": 2}', '{"kind": "bird", "n": 2}', 1.0, "", None]
    assert table["data"][1] == ["b", "", "", "owl", 0.0, "", None]
    assert table["data"][2] == ["c", "", "", "", None, "too slow", "timeout"]
    assert len(table["data"]) == 5
    assert (entry.name, entry.status, entry.tags["reason"]) == ("trial 003", "FINISHED", "why")
    assert entry.params == {"predict.instruction": "x" * 500}


def test_a_trial_that_failed_has_no_score(ledger: Ledger) -> None:
    end(ledger, 0, "failed", value=None, score=None, low=None, high=None, seen=0)
    entry = trial_entry(ledger, all_trials(ledger)[0], Usage(), SOURCE)
    assert entry.status == "FAILED"
    assert not {"score", "estimate", "score_low"} & {point.name for point in entry.points}


def test_the_mark_changes_with_the_outcome_only(ledger: Ledger) -> None:
    end(ledger, 0)
    first = trial_mark(all_trials(ledger)[0])
    end(ledger, 0)  # later, and the same
    assert trial_mark(all_trials(ledger)[0]) == first
    end(ledger, 0, "raced_out")
    assert trial_mark(all_trials(ledger)[0]) != first


def test_the_curve_counts_only_trials_that_saw_everything(ledger: Ledger) -> None:
    for number, (state, score) in enumerate(
        [("complete", 0.4), ("raced_out", 1.0), ("complete", 0.3), ("failed", None), ("complete", 0.6)]
    ):
        end(ledger, number, state, score=score)
    spent = {number: Usage(calls=10) for number in range(4)}  # the last trial's answers were known already
    curve = best_so_far(all_trials(ledger), spent)
    assert [(point.step, point.value) for point in curve] == [(10, 0.4), (30, 0.4), (40, 0.6)]


def test_a_jobs_outcome_is_there_once_it_has_finished(tmp_path: Path) -> None:
    side = {"test_score": 0.5}
    usage = {"calls": {"task": 3, "prompt": 2}, "input_tokens": 5, "output_tokens": 1, "usd": 0.5}
    outcome = {"verdict": "improved", "seed": side, "winner": {**side, "validation_score": 0.7}, "usage": usage}
    outcome["difference"] = {"mean": 0.1, "ci95": [0.0, 0.2]}
    (tmp_path / "result.json").write_text(json.dumps(outcome))
    (tmp_path / "best.md").write_text("# The best")
    running = job_entry(tmp_path, ABOUT, "RUNNING")
    assert (running.ended, running.tags, list(running.points)) == (None, {}, [])
    done = job_entry(tmp_path, ABOUT, "FINISHED")
    assert (done.started, done.ended, done.tags) == (1000, 9000, {"verdict": "improved"})
    assert {point.name: point.value for point in done.points}["calls"] == 5
    assert done.files == {"config.yaml": "seed: 1\n", "best.md": "# The best"}
    assert job_entry(tmp_path, ABOUT, "KILLED").tags == {}
    assert len({running.mark, done.mark, job_entry(tmp_path, ABOUT, "KILLED").mark}) == 3
