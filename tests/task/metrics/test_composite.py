from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.task.metrics.agreement import agreement
from optimizer.task.metrics.build import build_metric
from optimizer.task.metrics.composite import CompositeMetric
from optimizer.task.schema import FieldSpec
from optimizer.types import Example

PAIR = {"summary": FieldSpec(), "team": FieldSpec(choices=("billing", "other"))}
EXAMPLE = Example({"text": "?"}, {"summary": "the cat sat on my mat", "team": "billing"})
SPEC: dict[str, Any] = {
    "name": "composite",
    "parts": {
        "words": {"metric": "token_f1", "weight": 3, "output": "summary"},
        "exact_match": {"output": "team"},
    },
    "constraints": {"output": "summary", "longest": {"words": 7}, "forbidden": ["dog"]},
}


def metric(outputs: Any = PAIR, **changes: Any) -> CompositeMetric:
    made = build_metric({**SPEC, **changes}, outputs, Path())
    assert isinstance(made, CompositeMetric)
    return made


def test_it_is_the_weighted_mean_of_its_parts() -> None:
    answer = {"summary": "a cat sat", "team": "Billing"}
    found, feedback = metric()(EXAMPLE, answer)
    assert found == pytest.approx((3 * 2 * 2 / 7 + 1) / 4)
    assert feedback == (
        "words 0.57 (summary: missing: on, my, mat; its words are 2, those expected 5); "
        "expected summary = 'the cat sat on my mat', got 'a cat sat'; expected team = 'billing', got 'Billing'"
    )
    assert metric().parts(EXAMPLE, answer) == pytest.approx({"words": 4 / 7, "exact_match": 1, "constraints": 1})


def test_a_broken_constraint_scores_zero_and_is_named() -> None:
    answer = {"summary": "the cat sat on my mat and dog", "team": "billing"}
    found, feedback = metric()(EXAMPLE, answer)
    assert found == 0
    assert feedback.startswith(
        "broken: summary 8 words, at most 7 are allowed; broken: summary holds the forbidden 'dog'; words 0.83"
    )
    assert metric().parts(EXAMPLE, answer)["constraints"] == 0


def test_the_expected_answer_scores_one() -> None:
    assert metric()(EXAMPLE, EXAMPLE.outputs) == (
        1.0,
        "correct: summary = 'the cat sat on my mat'; correct: team = 'billing'",
    )
    assert metric().refusal(EXAMPLE) == ""


def test_missing_and_unreadable_answers() -> None:
    assert metric()(EXAMPLE, None) == (
        0.0,
        "expected summary = 'the cat sat on my mat', team = 'billing'; the answer could not be read",
    )
    data = {"metric": "json_fields", "fields": {"n": "numeric"}}
    of_json = metric({"y": FieldSpec(type="json")}, parts={"data": data}, constraints=())
    assert of_json.parts(Example({}, {"y": {"n": 1, "m": 2}}), {"y": {"n": 1}}) == {
        "data": 0.5,
        "data.n": 1,
        "data.m": 0,
    }
    assert metric().parts(EXAMPLE, None) == {"words": 0, "exact_match": 0, "constraints": 0}
    assert metric()(EXAMPLE, {"team": "billing"})[0] == 0.25
    assert metric(constraints={"shortest": {"words": 1}})(EXAMPLE, {"team": "billing"})[0] == 0


def test_an_expected_answer_that_no_answer_can_meet_is_told() -> None:
    long = Example({}, {"summary": "one two three four five six seven eight", "team": "billing"})
    assert metric().refusal(long) == "the expected answer breaks: summary 8 words, at most 7 are allowed"
    bad = metric({"y": FieldSpec()}, parts={"regex": {}}, constraints=())
    assert bad.refusal(Example({}, {"y": "(a"})) == "regex: y: '(a' is not a pattern (missing ) at position 2)"


def test_without_an_output_a_part_and_a_constraint_are_of_all_outputs() -> None:
    one = metric(parts={"exact_match": {}}, constraints=[{"required": ["x"]}])
    answer = {"summary": "x", "team": "billing"}
    assert "broken: team lacks the required 'x'" in one(EXAMPLE, answer)[1]
    assert "summary lacks" not in one(EXAMPLE, answer)[1]


def test_constraints_alone_are_a_metric() -> None:
    only = metric({"y": FieldSpec()}, parts={}, constraints={"valid_json": True})
    example = Example({}, {"y": "{}"})
    assert only(example, {"y": "[1]"}) == (1.0, "correct: y = '{}'")
    assert only(example, {"y": "["})[0] == 0


def test_answers_agree_by_it() -> None:
    agree = agreement(metric(constraints=()), PAIR)
    assert agree({"summary": "a b", "team": "other"}, {"summary": "b", "team": "other"}) == 1
    assert agree({"summary": "c b", "team": "other"}, {"summary": "b", "team": "billing"}) == pytest.approx(0.5)


@given(st.text(), st.text(), st.floats(0.1, 10))
def test_it_is_bounded_and_weights_may_be_scaled(one: str, two: str, scale: float) -> None:
    example, outputs = Example({}, {"y": one}), {"y": FieldSpec()}
    weights = {"token_f1": 1.0, "chrf": 2.5}
    scores = [
        metric(outputs, parts={name: {"weight": weight * by} for name, weight in weights.items()}, constraints=())(
            example, {"y": two}
        )[0]
        for by in (1, scale)
    ]
    assert 0 <= scores[0] <= 1
    assert scores[0] == pytest.approx(scores[1])
