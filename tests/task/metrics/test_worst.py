from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer import Task
from optimizer.errors import TaskError
from optimizer.evaluate.aggregate import Population, aggregate_from, aggregate_of, statistic_of
from optimizer.propose.subjects import reward_of
from optimizer.task.metrics.base import Grade, graded
from optimizer.task.metrics.build import build_metric, builtin_of
from optimizer.task.metrics.population import Cell
from optimizer.task.metrics.worst import WorstSlice, WorstSliceMetric
from optimizer.task.schema import FieldSpec
from optimizer.types import Example, Score

OUTPUTS = {"kind": FieldSpec(choices=("a", "b"))}
SPEC = {"name": "worst_slice", "of": "choice", "by": "language"}
CELLS = st.lists(st.tuples(st.sampled_from(["fr", "en", "it"]), st.just(""), st.floats(0, 1)), min_size=1, max_size=30)


def cells(**slices: Sequence[float]) -> list[Cell]:
    return [(name, "", score) for name, scores in slices.items() for score in scores]


def built() -> WorstSliceMetric:
    metric = build_metric(SPEC, OUTPUTS, Path())
    assert isinstance(metric, WorstSliceMetric)
    return metric


def test_the_worst_slice_counts_most_however_small_it_is() -> None:
    few = cells(en=[1.0] * 98, fr=[0.0, 1.0])
    soft = -math.log((math.exp(-10) + math.exp(-5)) / 2) / 10
    assert WorstSlice("language").of(few) == pytest.approx(soft)
    assert WorstSlice("language", 1000.0).of(few) == pytest.approx(0.5, abs=1e-3)
    assert WorstSlice("language", 1e-3).of(few) == pytest.approx(0.75, abs=1e-3), "the mean of the slices"
    assert WorstSlice("language").of([]) == 0.0


@given(CELLS, st.floats(0.1, 50))
def test_it_lies_between_the_worst_and_the_mean_of_the_slices(some: list[Cell], sharpness: float) -> None:
    statistic = WorstSlice("language", sharpness)
    means = [np.mean([cell[2] for cell in some if cell[0] == name]) for name in {cell[0] for cell in some}]
    assert min(means) - 1e-9 <= statistic.of(some) <= np.mean(means) + 1e-9


@given(CELLS)
def test_influences_are_it_on_average_and_its_derivatives(some: list[Cell]) -> None:
    statistic, ones, step = WorstSlice("language"), np.ones(len(some)), np.zeros(len(some))
    influences, value = statistic.influences(some), statistic.of(some)
    assert influences.mean() == pytest.approx(value, abs=1e-9)
    step[0] = 1e-6
    slope = (statistic.of(some, ones + step) - statistic.of(some, ones - step)) / 2e-6
    assert influences[0] - value == pytest.approx(len(some) * slope, abs=1e-3)


def test_an_answer_is_scored_by_the_other_metric_and_tells_its_slice() -> None:
    metric = built()
    example = Example({"q": "?"}, {"kind": "a"}, slices={"language": "fr"})
    assert asyncio.run(graded(metric, example, {"kind": "a"})) == Grade(
        *metric(example, {"kind": "a"}), pair=("fr", "")
    )
    assert asyncio.run(graded(metric, Example({}, {"kind": "a"}), None)).pair == ("(none)", "")
    assert builtin_of(metric) == {"name": "choice"}
    assert "by language, the worst counts most" in reward_of(metric)


def test_it_is_rebuilt_from_what_a_result_holds() -> None:
    aggregate = aggregate_of(built())
    assert aggregate == Population(WorstSlice("language")) == aggregate_from(statistic_of(built()))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({**SPEC, "of": "macro_f1"}, "macro_f1 has no slices"),
        ({**SPEC, "of": "choise"}, "did you mean 'choice'"),
        ({**SPEC, "sharpness": 0}, "sharpness"),
        ({"name": "worst_slice", "of": "choice"}, "'by' is missing"),
    ],
)
def test_what_does_not_fit_is_refused(spec: dict[str, object], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        build_metric(spec, OUTPUTS, Path())


def test_the_column_must_be_one_of_the_slices() -> None:
    rows = [{"text": f"t {n}", "kind": "ab"[n % 2], "language": "fr"} for n in range(40)]
    settings = {"examples": rows, "inputs": ["text"], "outputs": {"kind": ["a", "b"]}, "instruction": "i"}
    with pytest.raises(TaskError, match=r"'language' is none of the task's slices\n.*slices: \[language\]"):
        Task(**settings, metric=SPEC)  # type: ignore[arg-type]
    assert Task(**settings, metric=SPEC, slices=["language"]).test[0].slices == {"language": "fr"}  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_interval_of_a_difference_covers_it() -> None:
    """Each end misses 3.5 % at most; of 1,000 draws it may be 5.5 % by chance (one in a thousand)."""
    rng, population, missed = np.random.default_rng(7), Population(WorstSlice("language")), np.zeros(2)
    before, after = np.array([0.9, 0.85, 0.4]), np.array([0.85, 0.8, 0.7])
    exact = [population.statistic.of([(str(at), "", mean) for at, mean in enumerate(side)]) for side in (before, after)]
    for _ in range(1000):
        at = rng.choice(3, 150, p=[0.6, 0.25, 0.15])
        sides = [
            [Score(float(rng.random() < side[one]), pair=(str(one), "")) for one in at] for side in (before, after)
        ]
        low, high = population.difference(sides[1], sides[0])[1]
        missed += [low > exact[1] - exact[0], high < exact[1] - exact[0]]
    assert (missed <= 55).all(), f"missed below and above: {missed} of 1,000"
