"""Ranks, effects and probabilities, against scipy on random tables and by what must hold for any."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from optimizer.sweep.statistics import (
    best_shares,
    critical_difference,
    eta_interval,
    factor_effects,
    friedman,
    level_groups,
    ranks_of,
)

# Of Demšar (2006), table 5(a): the critical values q at 5 %, by the number of methods.
Q05 = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}
scores = st.integers(0, 4).map(lambda n: n / 4)


def random_tables(count: int) -> list[np.ndarray]:
    chance = np.random.default_rng(7)
    tables = []
    for number in range(count):
        shape = chance.integers(2, 12), chance.integers(3, 9)
        table = chance.random(shape)
        tables.append(np.round(table, 1) if number % 2 else table)  # every other one has ties
    return tables


def test_friedman_and_ranks_agree_with_scipy_on_200_random_tables() -> None:
    for table in random_tables(200):
        ours, theirs = friedman(table), stats.friedmanchisquare(*table.T)
        assert ours.chi2 == pytest.approx(theirs.statistic, rel=1e-9, abs=1e-9)
        assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-12)
        means = np.mean([stats.rankdata(-row) for row in table], axis=0)
        assert ours.ranks == pytest.approx(means.tolist())
        n, k = table.shape
        if math.isfinite(ours.f):
            assert ours.p_f == pytest.approx(stats.f.sf(ours.f, k - 1, (k - 1) * (n - 1)))


@settings(max_examples=40)
@given(arrays(float, st.tuples(st.integers(2, 8), st.integers(2, 6)), elements=scores))
def test_ranks_add_up_and_know_no_scale(table: np.ndarray) -> None:
    n, k = table.shape
    ranks = ranks_of(table)
    assert ranks.sum(axis=1) == pytest.approx([k * (k + 1) / 2] * n)
    assert (ranks_of(3 * table + 1) == ranks).all()
    test = friedman(table)
    assert 0 <= test.p <= 1
    assert test.chi2 <= n * (k - 1) + 1e-9
    shuffled = friedman(table[:, ::-1])
    assert shuffled.chi2 == pytest.approx(test.chi2)
    assert list(shuffled.ranks)[::-1] == pytest.approx(list(test.ranks))


def test_methods_that_are_level_everywhere_are_not_told_apart() -> None:
    assert friedman(np.ones((4, 3))).p == 1.0
    with pytest.raises(ValueError, match="two blocks"):
        friedman(np.ones((1, 3)))


@pytest.mark.parametrize(("methods", "q"), Q05.items())
def test_the_critical_difference_is_demsars(methods: int, q: float) -> None:
    expected = q * math.sqrt(methods * (methods + 1) / (6 * 14))
    assert critical_difference(methods, 14) == pytest.approx(expected, abs=2e-3)


@given(st.lists(st.floats(1, 8), min_size=1, max_size=8), st.floats(0, 4))
def test_bars_join_exactly_what_is_not_told_apart(ranks: list[float], least: float) -> None:
    bars = level_groups(ranks, least)
    for one in ranks:
        for other in ranks:
            joined = one == other or any(low <= min(one, other) and max(one, other) <= high for low, high in bars)
            assert joined == (abs(one - other) <= least)
    assert bars == sorted(bars)


def test_the_bars_of_demsars_figure() -> None:
    assert level_groups([1.0, 2.5, 2.8, 4.0], 1.4) == [(2.5, 2.8), (2.8, 4.0)]
    assert level_groups([1.0, 3.0], 1.0) == []


@given(
    st.lists(
        arrays(float, st.tuples(st.just(3), st.integers(1, 3), st.integers(1, 6)), elements=scores),
        min_size=1,
        max_size=3,
    )
)
def test_probabilities_of_being_best_add_up(tasks: list[np.ndarray]) -> None:
    shares = best_shares(tasks, replicates=50)
    assert shares.sum() == pytest.approx(1.0)
    assert best_shares([task[::-1] for task in tasks], replicates=50)[::-1] == pytest.approx(shares)
    better = [np.concatenate([task, task.max(axis=0, keepdims=True) + 1.0]) for task in tasks]
    assert best_shares(better, replicates=50).tolist() == pytest.approx([0, 0, 0, 1])


def test_the_probability_of_being_best_is_the_bootstraps() -> None:
    """Against draws one by one, with missing answers."""
    chance = np.random.default_rng(3)
    scores = (chance.random((2, 3, 40)) < np.array([0.7, 0.6])[:, None, None]).astype(float)
    scores[0, 1, :5] = np.nan
    leads = 0.0
    for _ in range(4000):
        drawn = scores[:, chance.integers(0, 3, 3)][:, :, chance.integers(0, 40, 40)]
        first, second = np.nanmean(drawn.reshape(2, -1), axis=1)
        leads += 1.0 if first > second + 1e-12 else 0.5 if abs(first - second) <= 1e-12 else 0.0
    assert best_shares([scores], replicates=4000)[0] == pytest.approx(leads / 4000, abs=0.04)


def test_a_single_key_is_an_analysis_of_variance() -> None:
    chance = np.random.default_rng(1)
    for _ in range(50):
        groups = [chance.normal(shift, 1, chance.integers(2, 7)) for shift in (0, 0.5, 1.0)]
        y = np.concatenate(groups)
        names = [name for name, group in zip("abc", groups, strict=True) for _ in group]
        (factor,) = factor_effects(y, {"key": names})
        theirs = stats.f_oneway(*groups)
        assert factor.p == pytest.approx(theirs.pvalue, rel=1e-9)
        f, width, freedom = theirs.statistic, 2, len(y) - 3
        assert factor.share == pytest.approx(width * f / (width * f + freedom))
        assert sum(effect.mean for effect in factor.effects) == pytest.approx(0)
        means = [group.mean() for group in groups]
        assert [e.mean for e in factor.effects] == pytest.approx([m - np.mean(means) for m in means])


def test_effects_of_two_keys_are_found_though_cells_are_missing() -> None:
    rows = [(a, b) for a in "xyz" for b in "pq" for _ in range(3)][:-1]
    truth = {"x": -0.2, "y": 0.0, "z": 0.2, "p": -0.1, "q": 0.1}
    noise = np.random.default_rng(0).normal(0, 0.01, len(rows))
    y = [0.5 + truth[a] + truth[b] + e for (a, b), e in zip(rows, noise, strict=True)]
    factors = factor_effects(y, {"first": [a for a, _ in rows], "second": [b for _, b in rows]})
    for factor in factors:
        assert factor.p is not None
        assert factor.p < 1e-6
        for effect in factor.effects:
            assert effect.ci95 is not None
            low, high = effect.ci95
            assert low < effect.mean < high
            assert effect.mean == pytest.approx(truth[effect.value], abs=0.03)


def test_what_cannot_be_told_is_said() -> None:
    with pytest.raises(ValueError, match="do not tell the keys apart"):
        factor_effects([0.1, 0.2, 0.3], {"a": ["x", "y", "y"], "b": ["p", "q", "q"]})
    (factor,) = factor_effects([0.1, 0.2], {"a": ["x", "y"]})
    assert (factor.ci95, factor.p, factor.effects[0].ci95) == (None, None, None)


@given(st.floats(0, 50), st.integers(1, 5), st.integers(2, 60))
def test_an_interval_of_eta_squared_lies_within_0_and_1(f: float, width: int, freedom: int) -> None:
    low, high = eta_interval(f, width, freedom)
    assert 0 <= low <= high < 1


def test_the_interval_of_eta_squared_covers_it() -> None:
    chance, hits, share = np.random.default_rng(5), 0, 0.3
    for _ in range(200):  # three groups of ten, λ = n·share/(1 − share)
        shift = math.sqrt(30 * share / (1 - share) / 20)
        y = np.concatenate([chance.normal(mean, 1, 10) for mean in (-shift, 0, shift)])
        (factor,) = factor_effects(y, {"key": [name for name in "abc" for _ in range(10)]})
        assert factor.ci95 is not None
        hits += factor.ci95[0] <= share <= factor.ci95[1]
    assert 180 <= hits <= 199
