from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.evaluate.betting import STAKES
from optimizer.evaluate.drift import (
    BETS,
    BOUND,
    FIRST,
    PARTS,
    Again,
    Drift,
    error_at,
    is_due,
    least_mean,
    log_capital,
    odd_one_evidence,
)

gaps = st.lists(st.sampled_from([-1.0, -0.37, 0.0, 0.004, 0.5, 1.0]), min_size=1, max_size=12)
looks = st.lists(gaps, max_size=8)
few = settings(max_examples=30)


def after(every: list[list[float]]) -> Drift:
    drift = Drift()
    for one in every:
        drift = drift.after(one)
    return drift


def test_all_who_ever_bet_have_one_capital_together() -> None:
    some = math.fsum(math.exp(log_capital(look)) for look in range(20_000))
    far = math.exp(log_capital(20_000)) * (20_020 * math.log(20_020))  # the integral of the tail, nearly
    assert some + far == pytest.approx(1.0, abs=1e-3)
    assert some + far <= 1.0


@few
@given(looks, gaps)
def test_a_look_without_a_gap_below_the_bound_is_no_evidence_of_a_fall(
    every: list[list[float]], last: list[float]
) -> None:
    before = after(every)
    calm = before.after([max(gap, before.low) for gap in last])
    newcomer = math.exp(log_capital(before.looks))
    assert math.exp(calm.evidence) <= math.exp(before.evidence) + newcomer + 1e-12


@few
@given(looks, gaps)
def test_the_bound_only_rises_and_stays_below_the_mean_that_was_seen(
    every: list[list[float]], last: list[float]
) -> None:
    before = after(every)
    later = before.after(last)
    assert later.low >= before.low >= -1.0
    assert least_mean(later.seen) <= max(later.mean, -1.0) + 1e-9
    assert sum(later.seen.values()) == sum(map(len, every)) + len(last)
    assert all(-PARTS <= part <= PARTS for part in later.seen)


@few
@given(gaps, st.randoms())
def test_the_order_within_a_look_does_not_matter(one: list[float], rng: object) -> None:
    first = Drift().after([0.0] * 50).after(one)
    second = Drift().after([0.0] * 50).after(sorted(one))
    assert first.evidence == pytest.approx(second.evidence)
    assert first.low == pytest.approx(second.low)


@few
@given(looks, gaps)
def test_a_worse_answer_is_never_less_evidence_in_its_look(every: list[list[float]], last: list[float]) -> None:
    before = after(every)
    worse = before.after([-1.0, *last[1:]])
    assert worse.evidence >= before.after(last).evidence - 1e-12


@pytest.mark.parametrize("chance", [0.0, 0.02, 0.3, 0.9])
def test_the_expected_wealth_never_grows_where_nothing_changes(chance: float) -> None:
    """Computed over all outcomes of a look of three answers, after looks whose bound holds."""
    before = Drift().after([0.0] * 200).after([-1.0] * 5 + [0.0] * 195)
    rate = max(chance, -before.low)  # the null: not more than the bound allows
    if chance > -before.low:
        before = Drift(before.looks, -rate, before.wealth, before.seen)
    expected = 0.0
    for outcome in itertools.product((0.0, -1.0), repeat=3):
        likely = math.prod(rate if gap else 1 - rate for gap in outcome)
        expected += likely * math.exp(before.after(outcome).evidence)
    assert expected <= math.exp(before.evidence) + math.exp(log_capital(before.looks)) + 1e-9


def test_the_factors_of_a_look_drawn_without_replacement_are_no_greater_on_average() -> None:
    """Maclaurin's inequality, on a canary of five of which three are asked."""
    canary, low = np.array([-1.0, 0.0, 0.0, 0.0, 1.0]), 0.0
    for stake in STAKES:
        factors = 1 - stake * (canary - low)
        drawn = [math.prod(three) for three in itertools.combinations(factors.tolist(), 3)]
        assert np.mean(drawn) <= factors.mean() ** 3 + 1e-12


def test_the_bound_is_where_the_bet_comes_to_its_price() -> None:
    seen = {0: 990, -100: 10}
    low = least_mean(seen)
    parts, counts = np.array([0.0, -1.0]), np.array([990, 10])
    wealth = np.mean([np.exp((np.log1p(stake * (parts - low) / (1 + low)) * counts).sum()) for stake in STAKES])
    assert wealth == pytest.approx(1 / BOUND, rel=1e-3)
    assert -0.03 < low < -0.01


def again(scores: Sequence[float]) -> Again:
    return Again(len(scores), sum(scores), min(scores))


@few
@given(st.lists(st.sampled_from([0.0, 0.3, 0.9, 1.0]), min_size=2, max_size=7))
def test_whichever_answer_came_first_the_expected_evidence_is_one(scores: list[float]) -> None:
    """Of one model's answers any may have been the first: over all of them it is a fair game."""
    ways = [odd_one_evidence([one], [again([*scores[:at], *scores[at + 1 :]])]) for at, one in enumerate(scores)]
    assert np.mean(np.exp(ways)) == pytest.approx(1.0)


def test_a_first_answer_that_all_later_ones_contradict_is_strong_evidence() -> None:
    for count in (1, 3, 9):
        by_hand = np.mean([(1 + stake * count) ** 2 for stake in STAKES])
        later = [again([0.0] * count)] * 2
        assert odd_one_evidence([1.0, 1.0], later) == pytest.approx(math.log(by_hand))
    assert odd_one_evidence([1.0, 0.0], [again([1.0] * 5), again([0.0])]) == pytest.approx(0.0)
    assert odd_one_evidence([0.0], [again([1.0] * 5)]) < 0.0


def test_a_score_is_added() -> None:
    assert again([1.0, 0.5]).after(0.2) == again([1.0, 0.5, 0.2])


def test_the_first_answers_are_tested_at_looks_that_double_and_share_one_error() -> None:
    due = [look for look in range(1, 5000) if is_due(look)]
    assert due[:5] == [1, 2, 4, 8, 16]
    assert math.fsum(map(error_at, due)) < FIRST
    assert (error_at(1), error_at(8)) == (pytest.approx(FIRST / 2), pytest.approx(FIRST / 20))


def test_what_is_enough_evidence() -> None:
    calm = after([[0.0] * 100] * 10)
    assert not calm.fallen
    assert calm.after([-1.0] * 20 + [0.0] * 80).fallen
    error = 2 * (BOUND + BETS) + FIRST  # of a watch's three tests
    assert error == pytest.approx(0.025)


def test_a_year_without_a_change_and_a_late_fall() -> None:
    """A long calm costs those who bet early all they had; who begins late still sees the fall."""
    rng = np.random.default_rng(7)
    drift = Drift()
    for _ in range(365):
        drift = drift.after(rng.choice([-1.0, 0.0, 1.0], p=[0.01, 0.98, 0.01], size=100).tolist())
        assert not drift.fallen
    for _ in range(10):
        drift = drift.after(rng.choice([-1.0, 0.0, 1.0], p=[0.06, 0.93, 0.01], size=100).tolist())
    assert drift.fallen


def test_equal_gaps_of_any_size_are_counted_in_hundredths_rounded_down() -> None:
    assert Drift().after([0.29, 0.299, -0.291, 1.0, -1.0]).seen == {29: 2, -30: 1, 100: 1, -100: 1}
