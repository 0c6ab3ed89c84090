from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from experiments.chaos.judge import Outcome, differences, paid_twice

USAGE = {"calls": {"task": 1}, "cached_calls": 0, "input_tokens": 9, "cached_input_tokens": 3, "output_tokens": 1}
NOTHING = {**USAGE, "calls": {"task": 0}, "input_tokens": 0, "output_tokens": 0, "usd": 0.0}
RESULT = {"verdict": "improved", "usage": {**USAGE, "usd": 0.1}, "test_usage": NOTHING, "lost_calls": 0, "seconds": 1.0}
ASKED = json.dumps([["user", "hello"]])
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]})
CALM = Outcome(RESULT, [(0, "a", 0.5)], [("a", 1.0)], [(ASKED, "done", 1, "search")], [("trial 000", "FINISHED")])


def changed(**usage: Any) -> Outcome:
    return replace(CALM, result={**RESULT, "usage": {**USAGE, "usd": 0.1, **usage}})


def test_a_run_that_only_took_longer_is_as_the_calm_one() -> None:
    slower = replace(CALM, result={**RESULT, "seconds": 9.0})
    assert differences(CALM, slower, disturbed=False) == []
    assert paid_twice(slower, [Counter({BODY: 1})], 0) == []


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (replace(CALM, trials=[(0, "a", 0.4)]), "trials differ"),
        (replace(CALM, scores=[]), "scores differ"),
        (replace(CALM, mirrored=[("trial 000", "RUNNING")]), "mirrored differ"),
        (replace(CALM, result={**RESULT, "verdict": "worse"}), "result.json: verdict"),
        (changed(calls={"task": 2}), "usage: calls"),
        (changed(output_tokens=0), "usage: output_tokens"),
        (replace(CALM, calls=[]), "and 0 rows"),
    ],
)
def test_what_differs_is_said(other: Outcome, said: str) -> None:
    assert any(said in finding for finding in differences(CALM, other, disturbed=True))


def test_tokens_of_lost_attempts_may_only_be_added_where_something_was_lost() -> None:
    assert differences(CALM, changed(input_tokens=20), disturbed=True) == []
    assert differences(CALM, changed(input_tokens=20), disturbed=False) == ["usage: input_tokens 9 → 20"]


def test_an_answer_that_no_row_stands_for_was_paid_twice() -> None:
    twice = [Counter({BODY: 2})]
    assert "answered 2 times, 1 committed and 0 lost" in paid_twice(CALM, twice, 0)[0]
    lost = replace(CALM, calls=[*CALM.calls, (ASKED, "lost", 0, "search")], result={**RESULT, "lost_calls": 1})
    assert paid_twice(lost, twice, 1) == []
    assert paid_twice(lost, twice, 0) == ["1 calls lost, at most 0 were in flight"]
    assert "that nobody answered" in paid_twice(CALM, [Counter()], 0)[0]
