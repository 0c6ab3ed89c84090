from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from optimizer.errors import TaskError
from optimizer.evaluate.aggregate import Population, aggregate_of
from optimizer.propose.subjects import reward_of
from optimizer.task.metrics.base import BuiltIn, Grade, graded
from optimizer.task.metrics.build import STATISTICS, WHOLE, build_metric, builtin_of
from optimizer.task.metrics.labels import StatisticMetric, label_of
from optimizer.task.schema import FieldSpec
from optimizer.types import Example

TEAM = FieldSpec(choices=("billing", "delivery", "other"))
OUTPUTS = {"team": TEAM}
EXAMPLE = Example({"x": "q"}, {"team": "billing"})


def built(spec: Any, outputs: Any = None) -> StatisticMetric:
    metric = build_metric(spec, OUTPUTS if outputs is None else outputs, Path())
    assert isinstance(metric, StatisticMetric)
    return metric


@pytest.mark.parametrize(
    ("answer", "value", "said"),
    [
        ({"team": "billing"}, 1.0, "billing"),
        ({"team": "It is Delivery."}, 0.0, "delivery"),
        ({"team": "billing or delivery?"}, 1.0, "billing"),
        ({"team": "either billing or delivery"}, 0.0, ""),
        ({"team": "no idea"}, 0.0, ""),
        ({}, 0.0, ""),
        (None, 0.0, ""),
    ],
)
def test_an_answer_is_right_or_wrong_and_tells_its_label(answer: Any, value: float, said: str) -> None:
    metric = built("macro_f1")
    grade = asyncio.run(graded(metric, EXAMPLE, answer))
    assert (grade.value, grade.pair) == (value, ("billing", said))
    assert Grade(*metric(EXAMPLE, answer), pair=grade.pair) == grade


def test_true_and_false_are_labels_too() -> None:
    metric = built("matthews", {"spam": FieldSpec(type="bool")})
    example = Example({"x": "q"}, {"spam": True})
    found = [metric.pair(example, {"spam": said}) for said in ("yes", False, "perhaps")]
    assert found == [("true", "true"), ("true", "false"), ("true", "")]
    assert aggregate_of(metric) == Population(metric.statistic)


@pytest.mark.parametrize("name", [name for name in STATISTICS if name not in WHOLE])
def test_each_is_built_again_from_what_it_says_of_itself(name: str) -> None:
    spec = {"name": name, **({"label": "other", "beta": 2.0} if name == "f_beta" else {})}
    metric = built(spec)
    assert built(builtin_of(metric)) == metric
    assert metric.statistic.kind == name
    assert reward_of(metric)
    assert metric.refusal(EXAMPLE) == ""


def test_the_version_changes_with_what_counts() -> None:
    one, other = (built({"name": "f_beta", "label": label}) for label in ("billing", "other"))
    assert one.version != other.version
    assert built({"name": "f_beta", "label": "billing", "beta": 1.0}).version == one.version


@pytest.mark.parametrize(
    ("spec", "outputs", "message"),
    [
        ("f_beta", OUTPUTS, "'label' is missing"),
        ({"name": "f_beta", "label": "biling"}, OUTPUTS, r"no label 'biling'\n.*billing"),
        ({"name": "f_beta", "label": "billing", "beta": 0}, OUTPUTS, "beta"),
        ({"name": "macro_f1", "label": "billing"}, OUTPUTS, "unknown key 'label'"),
        ("macro_f1", {"team": FieldSpec()}, r"'team' has no choices, and is neither true nor false"),
        ("macro_f1", {"team": TEAM, "why": FieldSpec()}, r"there are several outputs\n.*output: team"),
        ({"name": "macro_f1", "output": "tema"}, {"team": TEAM, "why": FieldSpec()}, r"no output 'tema'\n.*team"),
    ],
)
def test_what_does_not_fit_is_refused(spec: Any, outputs: Any, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        build_metric(spec, outputs, Path())


@pytest.mark.parametrize(
    ("beta", "more"), [(2.0, "to miss it costs more"), (0.5, "to answer it where it is wrong costs more")]
)
def test_proposers_are_told_which_mistake_costs_more(beta: float, more: str) -> None:
    assert more in reward_of(built({"name": "f_beta", "label": "other", "beta": beta}))


ORDER = {"order": FieldSpec(type="json")}


def test_a_field_of_json_is_looked_at_alone() -> None:
    spec = {"name": "macro_f1", "field": "to.country", "labels": ["FR", "IT"]}
    metric = build_metric(spec, ORDER, Path())
    example = Example({}, {"order": {"to": {"country": "FR"}, "lines": 3}})
    answers: list[tuple[Any, float, str]] = [
        ({"to": {"country": "fr"}, "lines": 9}, 1.0, "FR"),
        ({"to": {"country": "IT"}}, 0.0, "IT"),
        ({"to": "FR"}, 0.0, ""),
    ]
    for answer, value, said in answers:
        grade = asyncio.run(graded(metric, example, {"order": answer}))
        assert (grade.value, grade.pair) == (value, ("FR", said))
    assert asyncio.run(graded(metric, example, None)).pair == ("FR", "")
    assert isinstance(metric, BuiltIn)
    assert metric.refusal(Example({}, {"order": {"to": {}}})) == "the expected answer has no field to.country"
    assert builtin_of(metric) == spec
    assert metric.version != build_metric({**spec, "field": "country"}, ORDER, Path()).version


def test_a_number_or_a_text_in_json() -> None:
    metric = build_metric({"name": "pearson", "field": "lines"}, ORDER, Path())
    grade = asyncio.run(graded(metric, Example({}, {"order": {"lines": 3}}), {"order": {"lines": 4}}))
    assert grade.pair == ("3.0", "4.0")
    text = build_metric({"name": "corpus_chrf", "field": "note"}, ORDER, Path())
    assert asyncio.run(graded(text, Example({}, {"order": {"note": "ab"}}), {"order": {"note": "ab"}})).value == 1.0


@pytest.mark.parametrize(
    ("spec", "outputs", "message"),
    [
        ("macro_f1", ORDER, r"'order' is JSON, and no field is named\n.*field: address\.country"),
        ({"name": "macro_f1", "field": "to"}, ORDER, r"the field to has no choices.*\n.*labels: \[a, b\]"),
        ({"name": "pearson", "field": "x"}, {"n": FieldSpec(type="float")}, r"'n' is float, and has no fields"),
        ({"name": "macro_f1", "labels": ["a", "b"]}, {"n": FieldSpec(type="bool")}, "labels: those of 'n' are"),
    ],
)
def test_fields_that_do_not_fit_are_refused(spec: Any, outputs: Any, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        build_metric(spec, outputs, Path())


@pytest.mark.parametrize(
    ("spec", "values"), [(FieldSpec(type="bool"), [True, False]), (FieldSpec(choices=("yes", "no")), ["yes", "no"])]
)
def test_a_value_has_the_name_that_the_statistic_has_for_it(spec: FieldSpec, values: list[Any], tmp_path: Path) -> None:
    metric = build_metric("macro_f1", {"answer": spec}, tmp_path)
    for value in values:
        truth, said = metric.pair(Example({"q": "x"}, {"answer": value}), {"answer": value})
        assert truth == said == label_of(value)
        assert label_of(value) in metric.statistic.labels
