from __future__ import annotations

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
