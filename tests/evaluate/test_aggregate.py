from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.evaluate.aggregate import MEAN, Population, aggregate_from, aggregate_of, answers, statistic_of
from optimizer.evaluate.statistics import difference, interval
from optimizer.task.metrics.population import Kind, Pair, Statistic
from optimizer.types import Failure, Score

LABELS = ("a", "b", "c")
F1 = Population(Statistic("macro_f1", LABELS))
DOWN = Failure("server", "down")
SCORES = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, ""])), min_size=1, max_size=30)


def scored(pairs: list[Pair]) -> list[Score]:
    return [Score(float(truth == said), pair=(truth, said)) for truth, said in pairs]


def test_the_mean_is_what_it_was() -> None:
    ours, theirs = [Score(value) for value in (1.0, 0.5, 0.0)], [Score(value) for value in (0.0, 0.5, 0.0)]
    assert MEAN.numbers([ours[0], DOWN]) == [1.0, pytest.approx(math.nan, nan_ok=True)]
    assert (MEAN.score(ours), MEAN.score([])) == (0.5, 0.0)
    assert MEAN.interval(ours) == interval([1.0, 0.5, 0.0])
    assert MEAN.difference(ours, theirs) == (pytest.approx(1 / 3), difference([1.0, 0.5, 0.0], [0.0, 0.5, 0.0]))
    assert MEAN.as_if(ours[2], right=True).value == 1.0


@given(SCORES)
def test_the_numbers_of_a_statistic_are_it_on_average(pairs: list[Pair]) -> None:
    numbers = F1.numbers([*scored(pairs), DOWN])
    assert math.isnan(numbers.pop())
    assert np.mean(numbers) == pytest.approx(F1.score(scored(pairs)))


@given(SCORES)
def test_an_interval_holds_the_score_within_its_range(pairs: list[Pair]) -> None:
    ours, theirs = scored(pairs), scored([(truth, truth) for truth, _ in pairs])
    low, high = F1.interval(ours)
    assert 0 <= low <= F1.score(ours) <= high <= 1
    gain, (least, most) = F1.difference(ours, theirs)
    assert gain == pytest.approx(F1.score(ours) - 1)
    assert -1 <= least <= gain <= most <= 1
    back, (lowest, highest) = F1.difference(theirs, ours)
    assert (back, lowest, highest) == (pytest.approx(-gain), pytest.approx(-most), pytest.approx(-least))


@given(SCORES)
def test_an_interval_does_not_hang_on_the_order_of_examples(pairs: list[Pair]) -> None:
    ours, theirs = scored(pairs), scored([(truth, "a") for truth, _ in pairs])
    assert F1.interval(ours[::-1]) == pytest.approx(F1.interval(ours))
    assert F1.difference(ours[::-1], theirs[::-1])[1] == pytest.approx(F1.difference(ours, theirs)[1])


def test_of_nothing_nothing_is_known() -> None:
    assert F1.interval([]) == (0.0, 1.0)
    assert F1.difference([], []) == (0.0, (-1.0, 1.0))
    assert Population(Statistic("matthews", LABELS)).interval([]) == (-1.0, 1.0)


def test_a_missing_answer_may_be_right_or_wrong() -> None:
    one = scored([("a", "b")])[0]
    assert (F1.as_if(one, right=True).pair, F1.as_if(one, right=False).pair) == (("a", "a"), ("a", ""))


def test_a_score_without_labels_is_an_error() -> None:
    with pytest.raises(ValueError, match="without the labels"):
        F1.score([Score(1.0)])


def test_a_metric_says_how_scores_become_one() -> None:
    class Metric:
        statistic = F1.statistic

    assert aggregate_of(Metric()) == F1
    assert aggregate_of(object()) is MEAN
    assert aggregate_from(statistic_of(Metric())) == F1
    assert aggregate_from(statistic_of(object())) is MEAN
    assert answers([DOWN, Score(1.0)]) == [Score(1.0)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["macro_f1", "balanced_accuracy", "matthews"])
@pytest.mark.parametrize(
    ("shares", "before", "after"),
    [
        ([0.9, 0.1], [0.95, 0.3], [0.95, 0.3]),
        ([0.9, 0.1], [0.99, 0.1], [0.99, 0.9]),
        ([0.7, 0.2, 0.1], [0.9] * 3, [0.6] * 3),
    ],
)
def test_the_interval_of_a_difference_covers_it(
    kind: Kind, shares: list[float], before: list[float], after: list[float]
) -> None:
    """Each end misses 3.5 % at most; of 1,000 draws it may be 5.5 % by chance (one in a thousand)."""
    labels = LABELS[: len(shares)]
    statistic, rng = Statistic(kind, labels), np.random.default_rng(3)
    cells = [(label, said) for at, label in enumerate(labels) for said in (label, labels[(at + 1) % len(labels)])]
    weights = [
        np.array([share * c for share, p in zip(shares, right, strict=True) for c in (p, 1 - p)])
        for right in (before, after)
    ]
    truth = statistic.of(cells, weights[1]) - statistic.of(cells, weights[0])
    missed = np.zeros(2)
    for _ in range(1000):
        # The label is drawn once, and each side's answer to it.
        at = rng.choice(len(shares), 100, p=shares)
        sides = [[cells[2 * label + int(rng.random() >= right[label])] for label in at] for right in (before, after)]
        _, (low, high) = Population(statistic).difference(scored(sides[1]), scored(sides[0]))
        missed += [low > truth, high < truth]
    assert (missed <= 55).all(), f"missed below and above: {missed} of 1,000"


@settings(max_examples=15)
@given(SCORES)
def test_a_smaller_error_makes_a_wider_interval(pairs: list[Pair]) -> None:
    ours, theirs = scored(pairs), scored([(truth, "a") for truth, _ in pairs])
    for aggregate in (MEAN, F1):
        (seen, wide), (same, narrow) = (aggregate.difference(ours, theirs, error) for error in (0.004, 0.1))
        assert seen == same
        assert wide[0] <= narrow[0] + 1e-9
        assert wide[1] >= narrow[1] - 1e-9
