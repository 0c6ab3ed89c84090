from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest

from optimizer import Task
from optimizer.errors import TaskError
from optimizer.evaluate.aggregate import Population, aggregate_from, aggregate_of, statistic_of
from optimizer.propose.subjects import reward_of
from optimizer.task.metrics.base import LikelihoodMetric, graded
from optimizer.task.metrics.build import build_metric, builtin_of
from optimizer.task.metrics.whole import CERTAIN, WholeMetric, log_odds
from optimizer.task.schema import FieldSpec
from optimizer.types import Example, Score

TEAMS = {"team": FieldSpec(choices=("billing", "delivery", "other"))}
LATE = {"late": FieldSpec(type="bool")}
DAYS = {"days": FieldSpec(type="float")}
TEXT = {"text": FieldSpec()}


def built(spec: Any, outputs: dict[str, FieldSpec]) -> WholeMetric:
    metric = build_metric(spec, outputs, Path())
    assert isinstance(metric, WholeMetric)
    return metric


def test_a_label_is_as_sure_as_its_log_probabilities_say() -> None:
    metric = built({"name": "auc", "label": "delivery"}, TEAMS)
    assert isinstance(metric, LikelihoodMetric)
    example = Example({}, {"team": "delivery"})
    assert metric.pair(example, {"team": "Delivery"}) == ("1", repr(CERTAIN))
    assert metric.pair(example, {"team": "billing"}) == ("1", repr(-CERTAIN))
    assert metric.pair(Example({}, {"team": "other"}), None) == ("0", "")
    chances = [0.2, 0.7, 0.1]
    pair = metric.likely_pair(example, {"team": "billing"}, [math.log(one) for one in chances])
    assert float(pair[1]) == pytest.approx(math.log(0.7 / 0.3))
    late = built("auc", LATE)
    assert isinstance(late, LikelihoodMetric)
    pair = late.likely_pair(Example({}, {"late": False}), {"late": True}, [math.log(0.9), math.log(0.1)])
    assert pair[0] == "0"
    assert float(pair[1]) == pytest.approx(math.log(9)), "yes comes first in a readout"


def test_log_odds_are_bounded() -> None:
    assert log_odds([0.0, -math.inf], 0) == CERTAIN
    assert log_odds([-1000.0, 0.0], 0) == -CERTAIN
    assert log_odds([-math.inf, -math.inf], 0) == 0.0


def test_numbers_and_texts_make_pairs() -> None:
    example = Example({}, {"days": 3.0})
    assert built("pearson", DAYS).pair(example, {"days": "about 4"}) == ("3.0", "4.0")
    assert built("spearman", DAYS).pair(example, {"days": "soon"}) == ("3.0", "")
    assert built({"name": "auc", "threshold": 2.0}, DAYS).pair(example, {"days": 0.25}) == ("1", "0.25")
    grade = asyncio.run(graded(built("corpus_chrf", TEXT), Example({}, {"text": "ab"}), {"text": "ab"}))
    assert grade.value == 1.0
    assert grade.pair is not None
    assert json.loads(grade.pair[1])[:6] == [2, 2, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("spec", "outputs"),
    [
        ({"name": "auc", "label": "other"}, TEAMS),
        ("auc", LATE),
        ("pearson", DAYS),
        ("spearman", DAYS),
        ("corpus_bleu", TEXT),
        ({"name": "corpus_chrf", "beta": 3}, TEXT),
    ],
)
def test_it_is_rebuilt_from_what_a_result_holds(spec: Any, outputs: dict[str, FieldSpec]) -> None:
    metric = built(spec, outputs)
    aggregate = aggregate_of(metric)
    assert isinstance(aggregate, Population)
    assert aggregate == aggregate_from(json.loads(json.dumps(statistic_of(metric))))
    again = build_metric(builtin_of(metric) or {}, outputs, Path())
    assert (again.name, again.version) == (metric.name, metric.version)
    assert reward_of(metric)
    scores = [Score(1.0, pair=metric.pair(Example({}, dict.fromkeys(outputs, one)), None)) for one in (0, 1)]
    low, high = aggregate.interval(scores)
    assert aggregate.statistic.least <= low <= high <= 1
    assert aggregate.as_if(scores[0], True).value == 1.0


@pytest.mark.parametrize(
    ("spec", "outputs", "message"),
    [
        ("auc", TEAMS, r"there are several labels, and none is named\n.*label: other"),
        ({"name": "auc", "label": "delivry"}, TEAMS, r"no label 'delivry'\n.*did you mean 'delivery'"),
        ("auc", TEXT, r"the output is str, and has no choices\n.*type: float"),
        ("pearson", TEXT, r"the output is str\n.*type: float"),
        ("corpus_bleu", DAYS, "bleu cannot compare 'days'"),
        ({"name": "corpus_chrf", "ordr": 2}, TEXT, "unknown key 'ordr'"),
        ("spearmann", DAYS, "did you mean 'spearman'"),
        ("pearson", {**DAYS, **TEXT}, "there are several outputs"),
    ],
)
def test_what_does_not_fit_is_refused(spec: Any, outputs: dict[str, FieldSpec], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        build_metric(spec, outputs, Path())


def test_a_task_takes_them() -> None:
    rows = [{"text": f"t {n}", "days": n % 7} for n in range(40)]
    task = Task(examples=rows, inputs=["text"], outputs={"days": float}, instruction="How long?", metric="spearman")
    assert task.metric.name == "spearman"
