"""Pooled scores, by examples that can be checked by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from experiments.pooled import Estimate, Run, ahead, gain, gain_text, method_of, over_tasks, score, score_text
from optimizer.evaluate.statistics import difference, interval


def test_a_score_pools_the_test_examples_of_all_splits() -> None:
    # Example a is tested twice and counts once, with 1/2; the mean is (1/2 + 0 + 1) / 3.
    scored = score([{"a": 1.0, "b": 0.0}, {"a": 0.0, "c": 1.0}])
    assert scored is not None
    assert scored.mean == pytest.approx(0.5)
    assert scored.ci95 == interval([0.5, 0.0, 1.0])
    assert score([]) is None


def test_a_gain_is_paired_by_example_and_split() -> None:
    # By example: a 1 − 0, b 0 − 1, c 1 − 0 and, in the other split, 1 − 1; d has no pair. (1 − 1 + 1/2) / 3.
    pairs = [({"a": 1.0, "b": 0.0, "c": 1.0}, {"a": 0.0, "b": 1.0, "c": 0.0, "d": 1.0}), ({"c": 1.0}, {"c": 1.0})]
    gained = gain(pairs)
    assert gained is not None
    assert gained.mean == pytest.approx(1 / 6)
    assert gained.ci95 == difference([1.0, 0.0, 1.0], [0.0, 1.0, 0.5])
    assert gain([({"a": 1.0}, {"b": 1.0})]) is None


@pytest.mark.parametrize(
    ("values", "method"),
    [
        ({"search": {"strategy": "default"}, "models.prompt": None}, "default"),
        ({"search.strategy": "gepa"}, "gepa"),
        ({"search": {"strategy": "promptolution.CAPO", "options": {"initial_prompts": "x"}}}, "promptolution.CAPO"),
        ({"search": {"strategy": "baseline.nearest", "options": {"count": 4}}}, "baseline.nearest, options count 4"),
        ({"search": {"strategy": "dspy.GEPA", "formats": ["chat"]}}, "dspy.GEPA, formats chat"),
        ({"search": {"strategy": "default"}, "budget.calls": 50}, "default, 50 calls"),
    ],
)
def test_a_method_is_named_by_its_search(values: Mapping[str, Any], method: str) -> None:
    assert method_of(values) == method


def test_methods_are_compared_over_the_seeds_that_both_have() -> None:
    def run(method: str, split: str, **winner: float) -> Run:
        return Run("t", method, split, {}, winner, "improved", 1, 1)

    runs = [run("ours", "0", a=1.0, b=1.0), run("ours", "1", a=0.0), run("theirs", "0", a=0.0, b=1.0)]
    found = ahead(runs, "ours", "theirs", "t")
    assert found is not None
    assert found.mean == pytest.approx(0.5)
    assert ahead(runs, "ours", "theirs", "another task") is None
    assert ahead(runs, "ours", "nobody", "t") is None


def test_a_mean_over_tasks_weighs_them_alike_and_its_ends_add_up_as_squares() -> None:
    # Half the length of (0.3, 0.4), and of (0.6, 0.8).
    found = over_tasks([Estimate(0.5, (0.2, 1.1)), Estimate(0.7, (0.3, 1.5))])
    assert found is not None
    assert found.mean == pytest.approx(0.6)
    assert found.ci95 == pytest.approx((0.6 - 0.25, 0.6 + 0.5))
    assert over_tasks([found, None]) is None
    assert over_tasks([]) is None


def test_points_are_told_with_their_interval() -> None:
    assert score_text(Estimate(0.784, (0.701, 0.85))) == "78.4 [70, 85]"
    assert gain_text(Estimate(0.052, (-0.021, 0.08))) == "+5.2 [-2, +8]"
    assert score_text(None) == gain_text(None) == "–"
