from __future__ import annotations

import pytest

from optimizer.task.columns import Column
from optimizer.task.guess_metric import RUBRIC, guess_metric


def labels(**counts: int) -> Column:
    return Column("team", "label", sum(counts.values()), len(counts), labels=counts)


@pytest.mark.parametrize(
    ("column", "metric"),
    [
        (labels(a=50, b=50), "choice"),
        (labels(a=90, b=10), "macro_f1"),
        (labels(**dict.fromkeys("abcdefghij", 10)), "choice"),  # each has a tenth, as ten labels should
        (Column("x", "bool", 10, 2, labels={"true": 5, "false": 5}), "exact_match"),
        (Column("x", "float", 10, 10), "numeric"),
        (Column("x", "list", 10, 10), "set_f1"),
        (Column("x", "json", 10, 10), "json_fields"),
        (Column("x", "text", 10, 10, words=3), "token_f1"),
        (Column("x", "text", 10, 10, words=30), "rouge"),
    ],
)
def test_the_metric_fits_the_answer(column: Column, metric: str) -> None:
    guess = guess_metric({"x": column}, judge=False)
    assert (guess.metric, guess.name) == (metric, metric)
    assert guess.why


def test_a_judge_scores_texts_only() -> None:
    text = Column("x", "text", 10, 10, words=30)
    assert guess_metric({"x": text}, judge=True).metric == {"name": "judge", "criteria": RUBRIC}
    guess = guess_metric({"x": labels(a=5, b=5)}, judge=True)
    assert (guess.metric, guess.why) == ("choice", "the share of right labels; a judge is for texts")


def test_several_answers_are_scored_part_by_part() -> None:
    guess = guess_metric({"a": labels(a=90, b=10), "b": Column("x", "int", 9, 9)}, judge=False)
    assert guess.metric == {
        "name": "composite",
        "parts": {"a": {"metric": "choice", "output": "a"}, "b": {"metric": "numeric", "output": "b"}},
    }
