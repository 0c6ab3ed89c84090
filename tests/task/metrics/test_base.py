from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from optimizer.task.metrics.base import FieldMetric
from optimizer.task.schema import FieldSpec
from optimizer.types import Example

EXAMPLE = Example({"x": "?"}, {"a": "1", "b": "2"})


def halves(spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    return (1.0, "") if expected == seen else (0.5, "near")


def metric(partial: bool) -> FieldMetric:
    return FieldMetric("m", "1", {"a": FieldSpec(), "b": FieldSpec()}, halves, partial)


@pytest.mark.parametrize(("partial", "score"), [(False, 0.5), (True, 0.75)])
def test_the_worst_output_or_the_mean(partial: bool, score: float) -> None:
    assert metric(partial)(EXAMPLE, {"a": "1", "b": "3"}) == (score, "expected b = '2', got '3' (near)")


def test_a_missing_output_scores_zero() -> None:
    assert metric(partial=True)(EXAMPLE, {"a": "1"}) == (0.5, "expected b = '2', got nothing")


def test_an_unparsable_answer_scores_zero() -> None:
    assert metric(partial=True)(EXAMPLE, None) == (0.0, "expected a = '1', b = '2'; the answer could not be read")


def test_a_right_answer_says_so() -> None:
    assert metric(partial=False)(EXAMPLE, {"a": "1", "b": "2", "more": 1}) == (1.0, "correct: a = '1', b = '2'")


def test_feedback_stays_short() -> None:
    _, feedback = metric(partial=False)(EXAMPLE, {"a": "x" * 10_000, "b": "2"})
    assert len(feedback) < 300


def test_the_parts_of_a_score_are_its_outputs_and_what_is_inside_of_them() -> None:
    assert metric(partial=True).parts(EXAMPLE, {"a": "1", "b": "3"}) == {"a": 1, "b": 0.5}
    assert metric(partial=True).parts(EXAMPLE, None) == {"a": 0, "b": 0}
    inside = replace(metric(partial=True), inside=lambda spec, expected, seen: {"same": float(expected == seen)})
    assert inside.parts(EXAMPLE, {"a": "1"}) == {"a": 1, "b": 0, "a.same": 1, "b.same": 0}
    single = replace(inside, outputs={"a": FieldSpec()})
    assert single.parts(EXAMPLE, {"a": "1"}) == {"same": 1}
    assert replace(single, inside=None).parts(EXAMPLE, {"a": "1"}) == {}


@pytest.mark.parametrize("answer", [None, {}, {"a": "1"}, {"a": "1", "b": "3"}])
def test_the_parts_have_the_same_names_whatever_the_answer(answer: Any) -> None:
    inside = replace(metric(partial=False), inside=lambda spec, expected, seen: {"same": float(expected == seen)})
    assert inside.parts(EXAMPLE, answer).keys() == inside.parts(EXAMPLE, EXAMPLE.outputs).keys()


def test_an_expected_answer_that_no_answer_can_meet_is_told() -> None:
    assert metric(partial=True).refusal(EXAMPLE) == ""
    never = replace(metric(partial=True), compare=lambda spec, expected, seen: (0.5, "never"))
    assert never.refusal(EXAMPLE).startswith("expected a = '1', got '1' (never)")
    checked = replace(never, check=lambda spec, expected: "bad" if expected == "2" else "")
    assert checked.refusal(EXAMPLE) == "b: bad"
