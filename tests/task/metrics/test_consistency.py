from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer import Task
from optimizer.errors import TaskError
from optimizer.evaluate.aggregate import MEAN, aggregate_of
from optimizer.propose.subjects import reward_of
from optimizer.task.metrics.base import graded
from optimizer.task.metrics.build import build_metric, builtin_of
from optimizer.task.metrics.consistency import ConsistencyMetric, times_of
from optimizer.task.metrics.worst import of_each
from optimizer.task.schema import FieldSpec
from optimizer.types import Example

OUTPUTS = {"kind": FieldSpec(choices=("a", "b"))}
SPEC = {"name": "consistency", "of": "choice", "perturb": ["typos", "case"], "repeats": 2}
EXAMPLE = Example({"text": "Where is my parcel?"}, {"kind": "a"})


def built(**options: Any) -> ConsistencyMetric:
    metric = build_metric({**SPEC, **options}, OUTPUTS, Path())
    assert isinstance(metric, ConsistencyMetric)
    return metric.fitted({"text": FieldSpec()})


def test_an_example_is_asked_as_it_is_and_in_each_way() -> None:
    asked = built().askings(EXAMPLE)
    assert [(one.way, one.repetition) for one in asked] == [
        ("as written", 0),
        ("as written", 1),
        ("with typos", 0),
        ("in another case", 0),
    ]
    assert asked[0].inputs is EXAMPLE.inputs
    assert len({str(one.inputs) for one in asked}) == 3
    assert asked == built().askings(EXAMPLE), "the same in every run"
    assert len(built().askings(Example({"text": "?"}, {"kind": "a"}))) == 2, "nothing is there to change"
    assert times_of(built()) == 4
    assert times_of(of_each(built())) == 1


def test_one_answer_is_scored_by_the_other_metric() -> None:
    metric = built()
    for answer in ({"kind": "a"}, {"kind": "b"}, None):
        assert asyncio.run(graded(metric, EXAMPLE, answer)) == asyncio.run(graded(metric.inner, EXAMPLE, answer))
    assert aggregate_of(metric) is MEAN
    assert builtin_of(metric) == {"name": "choice"}
    assert "put in another way" in reward_of(metric)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0, 3))
def test_an_example_is_worth_its_mean_less_its_spread(scores: list[float], spread: float) -> None:
    value, deviation = built(spread=spread).value(scores)
    assert 0 <= value <= max(scores) + 1e-12
    assert 0 <= deviation <= 0.5 + 1e-12
    if len(set(scores)) == 1:
        assert (value, deviation) == pytest.approx((scores[0], 0.0), abs=1e-9)


def test_answers_are_the_same_by_the_other_metric() -> None:
    assert built().same({"kind": "a"}, {"kind": "A."})
    assert not built().same({"kind": "a"}, {"kind": "b"})
    assert built().same({"unreadable": "x"}, {"unreadable": "x"})
    assert not built().same({"unreadable": "x"}, {"kind": "a"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": "macro_f1"}, "macro_f1 has no mean over several askings"),
        ({"of": "choise"}, "did you mean 'choice'"),
        ({"perturb": [], "repeats": 1}, "nothing is asked again"),
        ({"perturb": ["typos", "typos"]}, "'typos' is there twice"),
        ({"perturb": ["typo"]}, "typo"),
        ({"repeats": 0}, "repeats"),
        ({"spraed": 1.0}, "did you mean 'spread'"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        built(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": ["txt"]}, r"'txt' is no input\n.*did you mean 'text'"),
        ({"perturb": ["field_order"]}, r"field_order has nothing to change, as no input is JSON"),
    ],
)
def test_changes_must_fit_the_inputs(options: dict[str, object], message: str) -> None:
    rows = [{"text": f"text {n}", "kind": "ab"[n % 2]} for n in range(40)]
    settings: dict[str, Any] = {"examples": rows, "inputs": ["text"], "outputs": {"kind": ["a", "b"]}}
    with pytest.raises(TaskError, match=message):
        Task(**settings, instruction="i", metric={**SPEC, **options})
    assert Task(**settings, instruction="i", metric=SPEC).metric.askings(EXAMPLE)  # type: ignore[attr-defined]
