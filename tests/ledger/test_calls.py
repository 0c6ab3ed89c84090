from __future__ import annotations

import json
import sqlite3

import pytest

from optimizer.ledger.answers import (
    answers_of,
    forget_failures,
    known_failures,
    put_scores,
    tokens_in_search,
    tokens_per_call,
)
from optimizer.ledger.calls import (
    CallTag,
    answered_calls,
    answered_in,
    begin_attempt,
    begin_call,
    calls_of,
    count_hit,
    fail_call,
    failed_calls,
    find_call,
    finish_call,
    recall_call,
)
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.spend import lost_calls, recalled_calls, usage_by_role, usage_by_trial
from optimizer.ledger.trials import all_trials, begin_trial, find_trial, finish_trial, trial_figures
from optimizer.types import Candidate, Failure, Prompt, Score, Usage

CANDIDATE = Candidate({"predict": Prompt("Do it.")}, "templates")


def paid(ledger: Ledger, key: str, tag: CallTag, usage: Usage, hits: int = 0) -> int:
    row = begin_call(ledger, key, tag, {"messages": [{"role": "user", "parts": [{"text": "é"}]}]}).result(5)
    finish_call(ledger, row, {"text": "ü"}, usage, 2).result(5)
    for _ in range(hits):
        count_hit(ledger, row).result(5)
    return row


def test_an_intent_is_no_answer(ledger: Ledger) -> None:
    begin_call(ledger, "k", CallTag(), {}).result(5)
    assert find_call(ledger, "k") is None
    assert ledger.read("SELECT state, response, ended FROM calls")[0][:] == ("intent", None, None)


def test_a_committed_call_is_found_by_its_key(ledger: Ledger) -> None:
    row = paid(ledger, "k", CallTag("judge", "test", 3), Usage(1, 0, 10, 4, 2, 0.5))
    assert find_call(ledger, "k") == (row, {"text": "ü"}, 12)
    assert find_call(ledger, "other") is None
    found = ledger.read("SELECT * FROM calls")[0]
    assert (found["role"], found["phase"], found["trial"], found["attempts"]) == ("judge", "test", 3, 2)
    assert (found["input_tokens"], found["cached_tokens"], found["output_tokens"], found["usd"]) == (10, 4, 2, 0.5)
    assert json.loads(found["request"]) == {"messages": [{"role": "user", "parts": [{"text": "é"}]}]}
    assert found["ended"] >= found["started"]


def test_a_failed_call_is_no_answer_and_keeps_its_reason(ledger: Ledger) -> None:
    row = begin_call(ledger, "k", CallTag(), {}).result(5)
    fail_call(ledger, row, Failure("timeout", "too slow", 5)).result(5)
    assert find_call(ledger, "k") is None
    found = ledger.read("SELECT * FROM calls")[0]
    assert (found["state"], found["attempts"]) == ("failed", 5)
    assert json.loads(found["failure"]) == {"kind": "timeout", "message": "too slow"}


def test_one_key_is_paid_once(ledger: Ledger) -> None:
    paid(ledger, "k", CallTag(), Usage(1))
    row = begin_call(ledger, "k", CallTag(), {}).result(5)
    with pytest.raises(sqlite3.IntegrityError):
        finish_call(ledger, row, {}, Usage(1), 1).result(5)


def test_a_recalled_call_is_an_answer_that_cost_nothing(ledger: Ledger) -> None:
    paid(ledger, "paid", CallTag("task", "search", 1), Usage(1, 0, 8, 0, 2, 0.5))
    tag, took = CallTag("task", "search", 1), Usage(0, 0, 10, 4, 2)
    row = recall_call(ledger, "k", tag, {"messages": []}, {"text": "ü"}, took).result(5)
    assert find_call(ledger, "k") == (row, {"text": "ü"}, 12)
    assert recalled_calls(ledger) == 1
    count_hit(ledger, row).result(5)
    assert usage_by_role(ledger, "search") == {"task": Usage(1, 2, 8, 0, 2, 0.5)}
    assert usage_by_trial(ledger) == {1: Usage(1, 2, 8, 0, 2, 0.5)}
    begin_attempt(ledger)
    count_hit(ledger, row).result(5)  # the replay asks once
    assert usage_by_role(ledger, "search")["task"].cached_calls == 1


def test_what_was_lost_on_the_way_to_an_answer_is_not_what_its_prompt_takes(ledger: Ledger) -> None:
    """Ties go to the cheaper prompt: one whose calls met with more faults is not dearer for that."""
    row = begin_call(ledger, "unlucky", CallTag("task", "search", 1), {}).result(5)
    finish_call(ledger, row, {}, Usage(1, 0, 30, 0, 9), 1, Usage(1, 0, 10, 0, 1)).result(5)
    assert find_call(ledger, "unlucky") == (row, {}, 11)
    assert usage_by_trial(ledger) == {1: Usage(1, 0, 30, 0, 9)}, "all of it was paid"


def test_the_tokens_a_call_are_those_of_the_answers_that_were_scored(ledger: Ledger) -> None:
    results = [Score(1.0, tokens=30, calls=2), Failure("timeout", "too slow"), Score(0.0, tokens=12, calls=1)]
    for split, found in (("validation", results), ("test", [Score(1.0, tokens=5, calls=1)]), ("train", [Score(1.0)])):
        put_scores(ledger, "c", split, 0, [str(n) for n in range(len(found))], "m@1", found).result(5)
    assert tokens_per_call(ledger, "c", "validation") == 14.0
    assert tokens_per_call(ledger, "c", "test") == 5.0
    assert tokens_per_call(ledger, "c", "train") is None, "nobody counted"
    assert tokens_per_call(ledger, "other", "test") is None
    assert tokens_in_search(ledger, "c") == tokens_in_search(ledger) == {"c": 14.0}
    put_scores(ledger, "trained", "train", 0, ["x"], "m@1", [Score(1.0, tokens=7, calls=1)]).result(5)
    assert tokens_in_search(ledger, "trained") == {"trained": 7.0}


def test_failures_are_forgotten_all_or_those_of_an_outage(ledger: Ledger) -> None:
    """An early time-out, then an answer, then an outage: of the second candidate one was answered on the way."""
    rows = {"early": "failed", "answered": "done", "late": "failed"}
    for at, (example, state) in enumerate(rows.items()):
        begin_call(ledger, example, CallTag(example=example), {}).result(5)
        sql = "UPDATE calls SET state = ?, ended = ? WHERE example = ?"
        ledger.write(sql, (state, 1000.0 * at, example)).result(5)
    lost = Failure("timeout", "too slow")
    put_scores(ledger, "c", "validation", 0, list(rows), "m@1", [lost, Score(1.0), lost]).result(5)
    assert known_failures(ledger) == {("c", "validation", 0): lost, ("c", "validation", 2): lost}
    forget_failures(ledger, late=True)
    assert known_failures(ledger) == {("c", "validation", 0): lost}
    forget_failures(ledger)
    assert known_failures(ledger) == {}
    assert [row.value for row in answers_of(ledger, "c", "validation")] == [1.0]


def test_a_failure_that_the_prompt_is_to_blame_for_keeps_what_led_to_it(ledger: Ledger) -> None:
    """The second call of a program was refused; the first was answered, and cut."""
    worth = Score(0.0, {}, "too long", tokens=12, calls=1, cut=True, failure="context_too_long")
    put_scores(ledger, "c", "validation", 0, ["x"], "m@1", [worth]).result(5)
    assert known_failures(ledger) == {("c", "validation", 0): worth}


def test_usage_is_summed_by_role_phase_and_trial(ledger: Ledger) -> None:
    paid(ledger, "a", CallTag("task", "search", 0), Usage(1, 0, 10, 1, 2, 0.25), hits=2)
    paid(ledger, "b", CallTag("task", "search", 1), Usage(1, 0, 20, 2, 3, 0.5))
    paid(ledger, "c", CallTag("prompt", "search", None), Usage(1, 0, 40, 0, 5, 0.0))
    paid(ledger, "d", CallTag("task", "test", 0), Usage(1, 0, 80, 0, 7, 0.0))
    failed = begin_call(ledger, "e", CallTag("task", "search", 1), {}).result(5)
    fail_call(ledger, failed, Failure("server", "down")).result(5)
    assert usage_by_role(ledger, "search") == {
        "task": Usage(2, 2, 30, 3, 5, 0.75),
        "prompt": Usage(1, 0, 40, 0, 5, 0.0),
    }
    assert usage_by_role(ledger, "search", 1) == {"task": Usage(1, 0, 20, 2, 3, 0.5)}
    assert usage_by_role(ledger, "test") == {"task": Usage(1, 0, 80, 0, 7, 0.0)}
    assert usage_by_role(ledger, "test", 9) == {}
    by_trial = usage_by_trial(ledger)
    assert by_trial[1] == Usage(1, 0, 20, 2, 3, 0.5)
    assert usage_by_trial(ledger, 1) == {1: by_trial[1]}
    assert usage_by_trial(ledger, 9) == {}
    assert sum(by_trial.values(), Usage()) == usage_by_role(ledger, "search")["task"]


def test_a_trial_begins_and_ends(ledger: Ledger) -> None:
    begin_trial(ledger, 1, CANDIDATE, {"predict.count": 0}).result(5)
    begin_trial(ledger, 0, CANDIDATE, {}).result(5)
    finish_trial(ledger, 1, state="complete", reason="done", value=0.5, seen=10).result(5)
    first, second = all_trials(ledger)
    assert (first.number, first.state, first.value, first.ended) == (0, "running", None, None)
    assert (second.number, second.state, second.value, second.seen) == (1, "complete", 0.5, 10)
    assert (second.candidate_id, second.candidate.origin) == (CANDIDATE.id, "templates")
    assert second.candidate.id == CANDIDATE.id
    assert second.params == {"predict.count": 0}
    assert second.ended >= second.started


def test_an_interrupted_trial_is_begun_anew(ledger: Ledger) -> None:
    other = Candidate({"predict": Prompt("Other.")}, "grounded")
    begin_trial(ledger, 0, CANDIDATE, {}).result(5)
    begin_trial(ledger, 0, other, {"a": 1}).result(5)
    (row,) = all_trials(ledger)
    assert (row.candidate_id, row.candidate.origin, row.state, row.params) == (
        other.id,
        "grounded",
        "running",
        {"a": 1},
    )


def test_scores_keep_their_place_and_failures_have_no_value(ledger: Ledger) -> None:
    block = [Score(1.0, {"label": "é"}, "right", 7), Failure("server", "down"), Score(0.0)]
    put_scores(ledger, "c", "validation", 10, ["x", "y", "z"], "choice@1", block).result(5)
    put_scores(ledger, "c", "validation", 0, ["w"], "choice@1", [Score(0.5)]).result(5)
    put_scores(ledger, "c", "test", 0, ["w"], "choice@1", [Score(0.25)]).result(5)
    rows = answers_of(ledger, "c", "validation")
    assert [(r.position, r.example, r.value, r.failure) for r in rows] == [
        (0, "w", 0.5, None),
        (10, "x", 1.0, None),
        (11, "y", None, "server"),
        (12, "z", 0.0, None),
    ]
    assert rows[1].fields == {"label": "é"}
    assert (rows[1].feedback, rows[1].tokens, rows[2].feedback) == ("right", 7, "down")
    assert answers_of(ledger, "other", "validation") == []


def test_scores_of_a_repeated_block_replace_the_old(ledger: Ledger) -> None:
    put_scores(ledger, "c", "validation", 0, ["x"], "m@1", [Failure("server", "down")]).result(5)
    put_scores(ledger, "c", "validation", 0, ["x"], "m@1", [Score(1.0)]).result(5)
    assert [row.value for row in answers_of(ledger, "c", "validation")] == [1.0]


def test_an_empty_block_is_no_write(ledger: Ledger) -> None:
    assert put_scores(ledger, "c", "test", 0, [], "m@1", []).result(5) == 0


def test_as_many_examples_as_results(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="zip"):
        put_scores(ledger, "c", "test", 0, ["x", "y"], "m@1", [Score(1.0)])


def test_half_a_surrogate_pair_in_an_answer_is_recorded_all_the_same(ledger: Ledger) -> None:
    put_scores(ledger, "c", "test", 0, ["x"], "m@1", [Score(0.0, {"a": "\ud83d"}, "\ud83d?")]).result(5)
    row = begin_call(ledger, "k", CallTag(), {"m": "\ud83d"}).result(5)
    finish_call(ledger, row, {"text": "a\ud83d"}, Usage(1), 1).result(5)
    assert find_call(ledger, "k") == (row, {"text": "a?"}, 0)
    assert answers_of(ledger, "c", "test")[0].feedback == "??"


def test_an_attempt_counts_what_the_last_one_left_in_flight(ledger: Ledger) -> None:
    assert begin_attempt(ledger) == 0
    row = paid(ledger, "a", CallTag(), Usage(1), hits=2)
    begin_call(ledger, "b", CallTag(), {}).result(5)
    begin_call(ledger, "c", CallTag("task", "test"), {}).result(5)
    assert lost_calls(ledger) == 0
    assert begin_attempt(ledger) == 2
    assert (lost_calls(ledger), lost_calls(ledger, "search"), lost_calls(ledger, "test")) == (2, 1, 1)
    assert begin_attempt(ledger) == 0
    assert [attempt["lost_before"] for attempt in ledger.meta("attempts")] == [0, 2, 0]
    # The replay asks for the paid call once more; only what it asks beyond that is a hit.
    assert usage_by_role(ledger, "search")["task"].cached_calls == 0
    for hits in (0, 1, 2):
        count_hit(ledger, row).result(5)
        assert usage_by_role(ledger, "search")["task"].cached_calls == hits


def test_a_trial_that_ended_stays_so_while_it_is_replayed(ledger: Ledger) -> None:
    begin_trial(ledger, 0, CANDIDATE, {}).result(5)
    finish_trial(ledger, 0, state="complete", score=0.5).result(5)
    ended = all_trials(ledger)[0].ended
    begin_trial(ledger, 0, CANDIDATE, {}).result(5)
    assert all_trials(ledger)[0].state == "complete"
    finish_trial(ledger, 0, state="complete", score=0.5).result(5)
    assert all_trials(ledger)[0].ended == ended


def test_no_secret_is_recorded(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "canary-4711")
    row = begin_call(ledger, "k", CallTag(), {"m": "canary-4711"}).result(5)
    fail_call(ledger, row, Failure("server", "at https://me:pass@host/v1: canary-4711")).result(5)
    put_scores(ledger, "c", "test", 0, ["x"], "m@1", [Failure("server", "Bearer canary-4711")]).result(5)
    told = str([tuple(found) for table in ("calls", "scores") for found in ledger.read(f"SELECT * FROM {table}")])
    assert "canary" not in told
    assert "me:pass" not in told
    assert "https://***@host/v1" in told


def test_calls_are_found_by_trial_and_example(ledger: Ledger) -> None:
    first = paid(ledger, "a", CallTag("task", "search", 1, "x"), Usage(1))
    paid(ledger, "b", CallTag("task", "search", 2, "x"), Usage(1))
    paid(ledger, "c", CallTag("task", "test", 1, "x"), Usage(1))
    paid(ledger, "d", CallTag("judge", "search", 1, "x"), Usage(1))
    failed = begin_call(ledger, "e", CallTag("task", "search", 1, "x"), {}).result(5)
    fail_call(ledger, failed, Failure("timeout", "too slow")).result(5)
    in_flight = begin_call(ledger, "f", CallTag("task", "search", 1, "x"), {}).result(5)
    begin_call(ledger, "g", CallTag("prompt", "search", None), {}).result(5)
    (answered,) = answered_in(ledger, "search", 1)
    assert answered.example == "x"
    assert answered.ended >= answered.started
    assert [row.id for row in calls_of(ledger, "search", 1, "x")] == [first, failed]
    assert calls_of(ledger, "search", 1, "y") == []
    assert [row.id for row in answered_calls(ledger, "search", 1)] == [first]
    fail_call(ledger, in_flight, Failure("server", "down")).result(5)
    assert [row.id for row in failed_calls(ledger, 9)] == [failed, in_flight]
    assert [row.id for row in failed_calls(ledger, 1)] == [failed]


def test_figures_are_of_all_trials_in_order(ledger: Ledger) -> None:
    for number in (1, 0, 2):
        begin_trial(ledger, number, CANDIDATE, {}).result(5)
    finish_trial(ledger, 2, state="failed", seen=3).result(5)
    finish_trial(ledger, 0, state="complete", score=0.5, seen=9).result(5)
    assert [(row.number, row.state, row.score, row.seen) for row in trial_figures(ledger)] == [
        (0, "complete", 0.5, 9),
        (1, "running", None, 0),
        (2, "failed", None, 3),
    ]
    assert (find_trial(ledger, 1).number, find_trial(ledger, 1).state) == (1, "running")
    with pytest.raises(IndexError):
        find_trial(ledger, 7)
