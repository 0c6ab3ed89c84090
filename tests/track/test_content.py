from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from optimizer.ledger.answers import put_scores
from optimizer.ledger.calls import Answered, CallTag, begin_call, finish_call
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.trials import all_trials, begin_trial, finish_trial
from optimizer.track.content import COLUMNS, Source, seconds_by_example, short, trial_entry, trial_mark
from optimizer.types import Calibration, Candidate, Example, Failure, Prompt, Score, Usage

CANDIDATE = Candidate({"predict": Prompt("Sort it.")})
SOURCE = Source(lambda candidate: candidate.id, 2, {"a": Example({"text": "an owl"}, {"kind": "bird", "n": 2})})


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.db")) as opened:
        yield opened


def end(ledger: Ledger, number: int, state: str = "complete", **changes: Any) -> None:
    begin_trial(ledger, number, CANDIDATE, {"predict.instruction": "x" * 900}).result()
    figures = {"value": 0.5, "score": 0.5, "low": 0.1, "high": 0.9, "seen": 5, "failures": 1, **changes}
    finish_trial(ledger, number, state=state, reason="why", **figures).result()


def test_a_trials_running_score_and_table(ledger: Ledger) -> None:
    results = [Score(1.0, {"kind": "bird", "n": 2}, tokens=4, calls=1), Score(0.0, {"kind": "owl"}, tokens=2, calls=1)]
    results += [Failure("timeout", "too slow")]
    results += [Score(1.0), Score(0.0), Score(1.0)]  # the last was seen after this trial had ended, by another
    put_scores(ledger, CANDIDATE.id, "validation", 0, list("abcdef"), "m", results).result()
    end(ledger, 3, value=0.4)
    for key in "wxyz":
        call = begin_call(ledger, key, CallTag(trial=3), {}).result()
        finish_call(ledger, call, {}, Usage(1, 0, 2, 0, 1), 1).result()
    (row,) = all_trials(ledger)
    entry = trial_entry(ledger, row, SOURCE)
    assert [(p.step, p.value) for p in entry.points if p.name == "seen_score"] == [(2, 0.5), (4, 2 / 3), (5, 0.5)]
    figures = {p.name: p.value for p in entry.points}
    assert (figures["calls"], figures["score"], figures["seen_low"], figures["tokens_per_call"]) == (4, 0.4, 0.1, 3.0)
    table = json.loads(entry.files["examples.json"])
    assert table["columns"] == [*COLUMNS]
    both = '{"kind": "bird", "n": 2}'
    assert table["data"][0] == ["an owl", both, both, 1.0, None, "", None, "a"]
    assert table["data"][1] == ["", "owl", "", 0.0, None, "", None, "b"]
    assert table["data"][2] == ["", "", "", None, None, "too slow", "timeout", "c"]
    assert len(table["data"]) == 5
    assert (entry.name, entry.status, entry.tags["reason"]) == ("trial 003", "FINISHED", "why")
    assert entry.params == {
        "predict.instruction": "x" * 249 + "…",
        "predict.demos": "none",
        "predict.readout": "generate",
    }


def test_a_trial_that_failed_has_no_score(ledger: Ledger) -> None:
    end(ledger, 0, "failed", value=None, score=None, low=None, high=None, seen=0)
    entry = trial_entry(ledger, all_trials(ledger)[0], SOURCE)
    assert entry.status == "FAILED"
    assert not {"score", "seen_score", "seen_low", "latency_p50"} & {point.name for point in entry.points}


@pytest.mark.parametrize(("value", "shown"), [(1.025, 1.0), (0.9999999999999999, 1.0), (-0.05, 0.0), (0.4, 0.4)])
def test_a_score_carried_past_the_best_there_is_shows_the_best(ledger: Ledger, value: float, shown: float) -> None:
    end(ledger, 0, value=value)
    entry = trial_entry(ledger, all_trials(ledger)[0], SOURCE)
    assert [p.value for p in entry.points if p.name == "score"] == [shown]


def test_the_mark_changes_with_the_outcome_only(ledger: Ledger) -> None:
    end(ledger, 0)
    first = trial_mark(all_trials(ledger)[0])
    end(ledger, 0)  # later, and the same
    assert trial_mark(all_trials(ledger)[0]) == first
    end(ledger, 0, "raced_out")
    assert trial_mark(all_trials(ledger)[0]) != first


def test_what_was_sent_and_how_long_it_took(ledger: Ledger) -> None:
    request = {"system": "Sort it.", "messages": [{"role": "user", "parts": [{"text": "an ```` owl"}]}]}
    put_scores(ledger, CANDIDATE.id, "validation", 0, ["b", "a"], "m", [Score(1.0), Score(1.0)]).result()
    for example in ("a", "a", "b"):  # the program calls twice for `a`
        row = begin_call(ledger, example, CallTag("task", "search", 3, example), request).result()
        finish_call(ledger, row, {}, Usage(1), 1).exception()  # the second `a` is the same call
    end(ledger, 3, seen=2)
    entry = trial_entry(ledger, all_trials(ledger)[0], SOURCE)
    sent = [[{"role": "system", "content": "Sort it."}, {"role": "user", "content": "an ```` owl"}]]
    assert json.loads(entry.files["messages.json"]) == sent
    assert "`````text\nan ```` owl\n`````" in entry.files["prompt.md"]
    seconds = [row[4] for row in json.loads(entry.files["examples.json"])["data"]]
    assert all(took is not None and took >= 0 for took in seconds)
    figures = {point.name: point.value for point in entry.points}
    assert 0 <= figures["latency_p50"] <= figures["latency_p95"]


def test_an_examples_seconds_span_its_calls() -> None:
    calls = [
        Answered("a", 1.0, 2.0, 1.0),
        Answered("a", 2.5, 4.0, 1.5),
        Answered("b", 1.0, 1.25, 0.25),
        Answered(None, 0.0, 9.0, 9.0),
    ]
    assert seconds_by_example(calls) == {"a": 3.0, "b": 0.25}


def test_a_set_of_demos_is_told_by_its_name(ledger: Ledger) -> None:
    demos = (Example({"text": "an owl"}, {"kind": "bird"}),)
    candidate = Candidate({"predict": Prompt("Sort it.", count=1, demos=demos), "other": Prompt("Go.")})
    begin_trial(ledger, 0, candidate, {}).result()
    finish_trial(ledger, 0, state="failed").result()
    params = trial_entry(ledger, all_trials(ledger)[0], SOURCE).params
    assert (params["predict.demos"], params["other.demos"]) == ("1 static", "none")
    assert len(params["predict.demo_set"]) == 8


def test_messages_and_parameters_as_text() -> None:
    assert short({"a": "x" * 250, "b": 3}) == {"a": "x" * 250, "b": "3"}


def test_how_answers_are_read_is_a_parameter_and_its_calibration_a_file(ledger: Ledger) -> None:
    fitted = Calibration(1.0, (-1.0, 1.0), 0.9, ("bird", "fish"))
    candidate = Candidate({"predict": Prompt("Sort it.", readout="calibrated", calibration=fitted)})
    begin_trial(ledger, 0, candidate, {"predict.readout": "calibrated"}).result()
    finish_trial(ledger, 0, state="failed").result()
    entry = trial_entry(ledger, all_trials(ledger)[0], SOURCE)
    assert entry.params["predict.readout"] == "calibrated"
    assert json.loads(entry.files["prompt.json"])["predict"]["calibration"] == fitted.to_json()
