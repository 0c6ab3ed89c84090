from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from optimizer.evaluate.bounded import TAIL, mean_interval
from optimizer.evaluate.statistics import (
    binomial,
    detectable,
    difference,
    interval,
    is_binary,
    mean,
    noise_of,
    wilson,
)

FIRST_SEED = int(os.environ.get("METIER_TEST_SEED", "0"))

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
def test_the_interval_of_zeros_and_ones_is_the_wider_of_wilsons_and_the_exact_one(scores: list[float]) -> None:
    n, right = len(scores), int(sum(scores))
    low, high = interval(scores)
    assert (low, high) == binomial(right, n)
    assert low <= wilson(right, n)[0]
    assert high >= wilson(right, n)[1]
    assert right == 0 or binom.sf(right - 1, n, low) <= TAIL + 1e-9
    assert right == n or binom.cdf(right, n, high) <= TAIL + 1e-9


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


@given(pairs)
def test_the_interval_turns_its_sign_when_swapped(both: list[tuple[float, float]]) -> None:
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


def test_intervals_are_repeatable() -> None:
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


def won(wins: float, losses: float) -> dict[float, float]:
    return {1.0: wins, -1.0: losses, 0.0: 1 - wins - losses}


# Differences of paired scores and their chances: equal prompts, small and large gains, nearly all examples won, and
# graded ones at the ceiling, in small steps, of seldom and large losses, from a seed whose answers cannot be read.
DIFFERENCES = {f"won {wins}, lost {losses}": won(wins, losses) for wins, losses in (
    (0.1, 0.1), (0.2, 0.2), (0.35, 0.15), (0.2, 0.1), (0.2, 0.02), (0.15, 0.0), (0.5, 0.05), (0.6, 0.1), (0.7, 0.05),
    (0.8, 0.0), (0.85, 0.05), (0.9, 0.0), (0.9, 0.09), (0.95, 0.0), (0.95, 0.03), (0.97, 0.01),
)} | {
    "equal": {-0.75: 0.05, -0.5: 0.1, -0.25: 0.2, 0.0: 0.3, 0.25: 0.2, 0.5: 0.1, 0.75: 0.05},
    "gain": {-0.5: 0.05, -0.25: 0.15, 0.0: 0.3, 0.25: 0.25, 0.5: 0.15, 1.0: 0.1},
    "ceiling": {-0.2: 0.04, 0.0: 0.76, 0.2: 0.1, 0.4: 0.06, 0.8: 0.04},
    "one-sided": {0.0: 0.7, 0.3: 0.15, 0.6: 0.1, 0.9: 0.05},
    "small steps, large ones": {-1.0: 0.03, -0.1: 0.3, 0.0: 0.2, 0.1: 0.4, 1.0: 0.07},
    "seldom lost, much": {0.1: 0.45, 0.0: 0.5, -0.9: 0.05},
    "a little more, seldom all lost": {0.05: 0.95, -1.0: 0.05},
    "half more, seldom half lost": {0.5: 0.95, -0.5: 0.05},
    "unreadable before": {1.0: 0.9, 0.75: 0.08, 0.0: 0.02},
    "unreadable before, half right now": {1.0: 0.8, 0.5: 0.15, 0.0: 0.05},
}  # fmt: skip
SCORES = {
    "most right": {1.0: 0.9, 0.75: 0.08, 0.0: 0.02},
    "right or half right": {1.0: 0.95, 0.5: 0.05},
    "most right, some not at all": {1.0: 0.85, 0.9: 0.1, 0.0: 0.05},
    "overlap of words": {0.0: 0.1, 0.25: 0.1, 0.4: 0.2, 0.5: 0.2, 0.67: 0.2, 0.8: 0.1, 1.0: 0.1},
    "most wrong": {0.0: 0.8, 0.3: 0.1, 0.5: 0.05, 1.0: 0.05},
    "two ends": {0.0: 0.25, 0.25: 0.25, 0.75: 0.25, 1.0: 0.25},
    "a judge's marks": {0.2: 0.05, 0.4: 0.1, 0.6: 0.2, 0.8: 0.45, 1.0: 0.2},
    "never quite right": {0.9: 0.97, 0.0: 0.03},
}
SIZES = (40, 60, 100, 200, 300)


def drawn(chances: dict[float, float], tests: int, n: int, seed: int = FIRST_SEED) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of a distribution, and how often each came in each of so many samples."""
    counts = np.random.default_rng(seed).multinomial(n, list(chances.values()), tests)
    return np.array(list(chances)), counts


def true_mean(chances: dict[float, float]) -> float:
    return sum(value * chance for value, chance in chances.items())


def coverage(chances: dict[float, float], tests: int, n: int) -> float:
    low, high = mean_interval(*drawn(chances, tests, n))
    return float(((low <= true_mean(chances)) & (true_mean(chances) <= high)).mean())


def test_the_interval_of_a_difference_covers_it() -> None:
    """In each of 130 regimes; 1,000 tests each leave a standard error of 0.7 points, and three of them are allowed."""
    found = {(name, n): coverage(DIFFERENCES[name], 1000, n) for n in SIZES for name in DIFFERENCES}
    whole = float(np.mean(list(found.values())))
    print(f"METIER_TEST_SEED={FIRST_SEED}: coverage {whole:.4f}, from {min(found.values())} to {max(found.values())}")  # noqa: T201  # the figure of the bar
    assert 0.95 <= whole <= 0.98
    assert not {regime: share for regime, share in found.items() if share < 0.93}


@pytest.mark.parametrize("name", list(SCORES))
def test_the_interval_of_graded_scores_covers_their_mean_and_is_not_too_high(name: str) -> None:
    """`metier check --min` goes by its lower end. 50 tests of each: what the interval of differences leaves."""
    truth = true_mean(SCORES[name])
    for n in (20, 60, 100):
        values, counts = drawn(SCORES[name], 50, n)
        counts = counts[[not is_binary(values[row > 0].tolist()) for row in counts]]
        ends = np.array([interval(np.repeat(values, row).tolist()) for row in counts])
        low, high = mean_interval(2 * values - 1, counts)
        assert (ends[:, 0] <= (1 + low) / 2 + 1e-9).all()
        assert (ends[:, 1] >= (1 + high) / 2 - 1e-9).all()
        low, high = (1 + np.array(mean_interval(2 * values - 1, drawn(SCORES[name], 2000, n)[1]))) / 2
        assert ((low <= truth) & (truth <= high)).mean() >= 0.93, n
        assert (low > truth).mean() <= 0.045, n


@pytest.mark.parametrize(
    ("n", "gain", "spread", "least"), [(40, 0.1, 0.2, 0.6), (60, 0.05, 0.1, 0.4), (100, 0.05, 0.1, 0.95)]
)
def test_a_gain_in_small_steps_is_seen_as_often_as_is_told(n: int, gain: float, spread: float, least: float) -> None:
    gaps = np.clip(np.random.default_rng(FIRST_SEED).normal(gain, spread, (500, n)), -1, 1)
    assert (mean_interval(gaps)[0] > 0).mean() >= least


@given(graded)
def test_a_better_answer_never_lowers_what_is_sure_of_a_perfect_sample(scores: list[float]) -> None:
    n = len(scores)
    assert interval(scores)[0] <= interval([1.0] * n)[0]
    assert interval(scores)[1] >= interval([0.0] * n)[1]


def test_scores_that_are_equal_but_for_the_last_bits_are_equal() -> None:
    ours, theirs = [0.3, 0.9, 0.4, 0.7] * 10, [0.1, 0.7, 0.2, 0.5] * 10
    assert len({a - b for a, b in zip(ours, theirs, strict=True)}) > 1
    assert difference(ours, theirs) == pytest.approx(difference([0.2] * 40, [0.0] * 40), abs=1e-9)


def test_where_hardly_anything_differs_the_interval_is_too_wide_rather_than_too_narrow() -> None:
    for n in (40, 100):
        assert coverage(won(0.01, 0.01), 1000, n) >= 0.95
