from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from optimizer.evaluate.statistics import detectable, difference, interval, is_binary, mean, noise_of, wilson

binary = st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=60)
pairs = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=60)
graded = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]), min_size=1, max_size=25)


def test_the_mean() -> None:
    assert mean([0.0, 0.5, 1.0]) == 0.5
    assert mean([]) == 0.0


def test_binary_means_zeros_and_ones_only() -> None:
    assert is_binary([0.0, 1.0, 1])
    assert not is_binary([0.0, 0.5])


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_lies_in_the_unit_interval_around_the_share(counts: tuple[int, int]) -> None:
    successes, n = counts
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1
    assert wilson(n - successes, n) == (pytest.approx(1 - high), pytest.approx(1 - low))


@given(st.integers(1, 50).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_ten_times_the_examples_is_a_narrower_interval(counts: tuple[int, int]) -> None:
    successes, n = counts
    few, many = wilson(successes, n), wilson(10 * successes, 10 * n)
    assert many[1] - many[0] < few[1] - few[0]


@given(binary)
def test_the_interval_of_zeros_and_ones_is_wilsons(scores: list[float]) -> None:
    assert interval(scores) == wilson(sum(scores), len(scores))


@settings(deadline=None, max_examples=40)
@given(graded)
@example([0.5])
@example([0.5, 0.5])
@example([0.25, 0.5])
@example([0.0] * 20 + [0.9])
@example([1.0] * 24 + [0.9])
def test_an_interval_holds_the_mean_and_stays_inside(scores: list[float]) -> None:
    low, high = interval(scores)
    assert 0 <= low <= mean(scores) + 1e-12
    assert mean(scores) - 1e-12 <= high <= 1
    assert low < high


def test_nothing_seen_is_nothing_known() -> None:
    assert interval([]) == (0.0, 1.0)
    assert difference([], []) == (-1.0, 1.0)


def test_equal_grades_are_not_taken_for_certainty() -> None:
    low, high = interval([0.5] * 10)
    assert low < 0.4
    assert high > 0.6
    assert interval([0.5] * 1000)[0] > 0.45


def test_pairs_need_equal_lengths() -> None:
    with pytest.raises(ValueError, match="paired scores need equal lengths, not 1 and 2"):
        difference([1.0], [1.0, 0.0])


def by_hand(both: int, first: int, second: int, neither: int) -> tuple[float, float]:
    """Newcombe 1998 (Statistics in Medicine 17:2635), method 10, written out from the paper."""
    n = both + first + second + neither
    p1, p2 = (both + first) / n, (both + second) / n
    l1, u1 = wilson(both + first, n)
    l2, u2 = wilson(both + second, n)
    product = (both + first) * (second + neither) * (both + second) * (first + neither)
    numerator = both * neither - first * second
    if numerator > n / 2:
        corrected = numerator - n / 2
    elif numerator >= 0:
        corrected = 0.0
    else:
        corrected = float(numerator)
    phi = corrected / math.sqrt(product) if product else 0.0
    delta = math.sqrt((p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2)
    epsilon = math.sqrt((p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u1 - p1) + (u1 - p1) ** 2)
    return p1 - p2 - delta, p1 - p2 + epsilon


def scored(both: int, first: int, second: int, neither: int) -> tuple[list[float], list[float]]:
    ours = [1.0] * (both + first) + [0.0] * (second + neither)
    theirs = [1.0] * both + [0.0] * first + [1.0] * second + [0.0] * neither
    return ours, theirs


@pytest.mark.parametrize(
    "cells", [(36, 12, 2, 0), (20, 12, 2, 16), (0, 5, 5, 0), (25, 1, 0, 4), (3, 0, 0, 7), (9, 1, 0, 0)]
)
def test_newcombes_interval_is_the_papers_formula(cells: tuple[int, int, int, int]) -> None:
    assert difference(*scored(*cells)) == pytest.approx(by_hand(*cells))


@given(pairs)
def test_newcombes_interval_turns_its_sign_when_swapped(both: list[tuple[float, float]]) -> None:
    ours, theirs = [a for a, _ in both], [b for _, b in both]
    low, high = difference(ours, theirs)
    back = difference(theirs, ours)
    assert back == (pytest.approx(-high, abs=1e-12), pytest.approx(-low, abs=1e-12))
    assert -1 - 1e-12 <= low <= mean(ours) - mean(theirs) + 1e-12
    assert mean(ours) - mean(theirs) - 1e-12 <= high <= 1 + 1e-12


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=20))
def test_a_graded_differences_interval_holds_its_mean(both: list[tuple[float, float]]) -> None:
    ours, theirs = [a for a, _ in both], [b for _, b in both]
    low, high = difference(ours, theirs)
    gap = mean(ours) - mean(theirs)
    assert -1 <= low <= gap + 1e-12
    assert gap - 1e-12 <= high <= 1


def test_the_same_answers_differ_by_nothing() -> None:
    low, high = difference([1.0, 0.0] * 20, [1.0, 0.0] * 20)
    assert low < 0 < high
    assert low == pytest.approx(-high)


def test_a_clear_difference_excludes_zero_and_a_small_sample_does_not() -> None:
    assert difference([1.0] * 30, [0.0] * 25 + [1.0] * 5)[0] > 0.5
    low, high = difference([1.0, 1.0, 0.0], [0.0, 1.0, 0.0])
    assert low < 0 < high


def test_the_bootstrap_is_repeatable() -> None:
    scores = [0.1, 0.5, 0.9, 1.0, 0.3, 0.7]
    assert interval(scores) == interval(scores)
    assert difference(scores, scores[::-1]) == difference(scores, scores[::-1])


def test_the_noise_is_pooled_over_the_examples_that_were_asked_again() -> None:
    assert noise_of([[1.0, 1.0], [0.0, 1.0]]) == pytest.approx(0.25)
    assert noise_of([[1.0], []]) == 0.0
    assert noise_of([[0.0, 0.5, 1.0], [0.0, 0.0]]) == pytest.approx((2 * 0.25 + 0.0) / 3)


@pytest.mark.parametrize(
    ("spread", "noise", "n", "points"), [(0.25, 0.0, 40, 15.5), (0.25, 0.0, 160, 7.7), (0.25, 0.25, 40, 21.9)]
)
def test_the_detectable_gain(spread: float, noise: float, n: int, points: float) -> None:
    assert 100 * detectable(spread, noise, n) == pytest.approx(points, abs=0.05)


@given(st.floats(0.01, 0.25), st.floats(0, 0.25), st.integers(1, 500))
def test_noise_and_fewer_examples_never_help(spread: float, noise: float, n: int) -> None:
    assert detectable(spread, noise, n) >= detectable(spread, 0.0, n) - 1e-12
    assert detectable(spread, noise, n) > detectable(spread, noise, n + 1)


def test_two_equal_prompts_differ_by_more_than_the_detectable_gain_one_time_in_twenty() -> None:
    """Scores of two prompts with the correlation that is assumed: equal by one half, else drawn anew."""
    rng = np.random.default_rng(7)
    one = rng.random((4000, 60)) < 0.4
    two = np.where(rng.random(one.shape) < 0.5, one, rng.random(one.shape) < 0.4)
    gaps = np.abs(one.mean(axis=1) - two.mean(axis=1))
    assert (gaps > detectable(0.24, 0.0, 60)).mean() == pytest.approx(0.05, abs=0.015)
