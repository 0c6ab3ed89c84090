"""Agreement of two raters, against scikit-learn's and scipy's figures, and what holds of any raters."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from optimizer.evaluate.concordance import concordance, constant_share, grades, share
from optimizer.evaluate.statistics import difference

metrics = pytest.importorskip("sklearn.metrics")
LEVELS = 5
GRADES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 90)), min_size=1, max_size=12)


def figures(judge: list[float], people: list[float], levels: int = LEVELS) -> dict[str, float]:
    lengths = [float(hash((a, b, at)) % 97) for at, (a, b) in enumerate(zip(judge, people, strict=True))]
    return {name: figure.value for name, figure in concordance(judge, people, levels, lengths).items()}


@pytest.mark.parametrize("pairs", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_random_pairs_agree_with_scikit_learn_and_scipy(pairs: int) -> None:
    chance = random.Random(pairs)
    for _ in range(pairs):
        levels, n = chance.randint(2, 7), chance.randint(2, 40)
        likely = chance.random()
        people = [chance.randrange(levels) for _ in range(n)]
        judge = [one if chance.random() < likely else chance.randrange(levels) for one in people]
        lengths = [float(chance.randint(1, 50)) for _ in range(n)]
        ours, theirs = ([one / (levels - 1) for one in side] for side in (judge, people))
        found = _values(ours, theirs, levels, lengths)
        assert found["accuracy"] == pytest.approx(metrics.accuracy_score(people, judge), abs=1e-9)
        assert found["bias"] == pytest.approx(np.mean(ours) - np.mean(theirs), abs=1e-9)
        shown = sorted({*people, *judge})
        if len(shown) > 1:
            for name, weights in (("kappa", None), ("quadratic_kappa", "quadratic")):
                # Over the whole scale: scikit-learn counts only grades that are there, with other weights then.
                expected = metrics.cohen_kappa_score(people, judge, labels=list(range(levels)), weights=weights)
                assert found[name] == pytest.approx(expected, abs=1e-9)
        for name, xs, ys in (("tau", ours, theirs), ("length_bias", np.subtract(ours, theirs).round(9), lengths)):
            expected = kendalltau(xs, ys).statistic
            assert found[name] == pytest.approx(0.0 if np.isnan(expected) else expected, abs=1e-9)


def _values(judge: list[float], people: list[float], levels: int, lengths: list[float]) -> dict[str, float]:
    from optimizer.evaluate import concordance as module

    before, module.RESAMPLES = module.RESAMPLES, 2  # only the figures are compared
    try:
        return {name: one.value for name, one in concordance(judge, people, levels, lengths).items()}
    finally:
        module.RESAMPLES = before


@settings(max_examples=40)
@given(GRADES)
def test_figures_lie_in_their_intervals_and_ranges(rows: list[tuple[int, int, int]]) -> None:
    judge, people = ([row[side] / 4 for row in rows] for side in (0, 1))
    found = concordance(judge, people, LEVELS, [row[2] for row in rows])
    for name, figure in found.items():
        low, high = figure.ci95
        assert low <= figure.value <= high, name
        assert -1 - 1e-9 <= figure.value <= 1 + 1e-9, name
    swapped = concordance(people, judge, LEVELS, [row[2] for row in rows])
    for name in ("accuracy", "kappa", "quadratic_kappa", "tau"):
        assert swapped[name].value == pytest.approx(found[name].value, abs=1e-12)
    assert swapped["bias"].value == pytest.approx(-found["bias"].value)


def test_a_judge_like_people_agrees_wholly() -> None:
    people = [0.0, 0.25, 0.5, 0.75, 1.0] * 8
    found = figures(people, people)
    assert [found[name] for name in ("accuracy", "kappa", "quadratic_kappa", "tau")] == pytest.approx([1.0] * 4)
    assert found["bias"] == 0


def test_a_constant_judge_agrees_no_more_than_chance() -> None:
    people = [0.0] * 30 + [1.0] * 10
    found = concordance([0.0] * 40, people, 2, [1.0] * 40)
    assert (found["kappa"].value, found["tau"].value, found["over_constant"].value) == (0.0, 0.0, 0.0)
    assert found["accuracy"].value == constant_share(people, 2) == 0.75
    assert figures([0.5] * 5, [0.5] * 5)["kappa"] == 0.0


def test_a_coin_is_told_from_a_judge() -> None:
    chance = random.Random(3)
    people = [chance.randrange(5) / 4 for _ in range(120)]
    coin = [chance.randrange(5) / 4 for _ in people]
    judge = [one if chance.random() < 0.8 else chance.randrange(5) / 4 for one in people]
    lengths = [float(chance.randint(1, 99)) for _ in people]
    assert concordance(coin, people, 5, lengths)["kappa"].ci95[0] < 0
    assert concordance(judge, people, 5, lengths)["kappa"].ci95[0] > 0.5


def test_a_judge_that_likes_long_answers_is_told() -> None:
    chance = random.Random(4)
    lengths = [float(chance.randint(1, 200)) for _ in range(80)]
    people = [chance.randrange(5) / 4 for _ in lengths]
    judge = [min(1.0, one + (0.25 if length > 100 else 0.0)) for one, length in zip(people, lengths, strict=True)]
    found = concordance(judge, people, 5, lengths)
    assert found["length_bias"].ci95[0] > 0
    assert found["bias"].ci95 == difference(judge, people)


@pytest.mark.parametrize("levels", [2, 3, 5, 101])
def test_each_grade_is_nearest_to_itself(levels: int) -> None:
    assert grades([level / (levels - 1) for level in range(levels)], levels).tolist() == list(range(levels))


def test_a_score_between_two_grades_is_the_nearer_one() -> None:
    assert grades([0.1, 0.13, 0.5, 0.9], 5).tolist() == [0, 1, 2, 4]


def test_raters_of_different_answers_are_refused() -> None:
    with pytest.raises(ValueError, match="2 scores of a judge, 1 of people"):
        concordance([0.0, 1.0], [0.0], 2, [1.0, 2.0])


def test_a_share_has_an_exact_interval() -> None:
    assert str(share([True] * 10)) == "1.00 [0.71, 1.00]"


@pytest.mark.slow
def test_intervals_cover_the_figure_that_they_are_for() -> None:
    """Of 200 samples of 120 from one population about 95 in 100 intervals hold its kappa and tau."""
    chance = random.Random(7)
    people = [min(4, int(chance.random() ** 2 * 5)) / 4 for _ in range(3000)]
    judge = [one if chance.random() < 0.55 else chance.randrange(5) / 4 for one in people]
    lengths = [float(chance.randint(1, 99)) for _ in people]
    truth = _values(judge, people, 5, lengths)
    names = ("accuracy", "kappa", "quadratic_kappa", "tau", "bias")
    held = dict.fromkeys(names, 0)
    for _ in range(200):
        rows = [chance.randrange(len(people)) for _ in range(120)]
        found = concordance(*([side[row] for row in rows] for side in (judge, people)), 5, [lengths[r] for r in rows])
        for name in names:
            held[name] += found[name].ci95[0] <= truth[name] <= found[name].ci95[1]
    assert all(count >= 200 * 0.9 for count in held.values()), held
