"""What is counted, and what is taken for the same; `test_pace.py` shows what comes of it."""

from __future__ import annotations

import pytest

from optimizer.door.tally import REMEMBERED, Tally


def tally(calls: int, refused: int, apart: float = 0.1) -> Tally:
    """Return what is known after calls of which the first were refused."""
    made = Tally(0.0)
    for number in range(calls):
        made.sent((number + 1) * apart, held=False)
        made.answered((number + 1) * apart, refused=number < refused)
    return made


def test_calls_in_the_air_before_a_refused_one_were_let_through() -> None:
    made = Tally(0.0)
    for number in range(1, 11):
        made.sent(number / 10, held=False)
    made.answered(1.0, refused=True)
    assert (made.calls, made.refused, made.share) == (10, 1, pytest.approx(0.1))
    assert made.asked == pytest.approx(10.0)
    assert made.delivered() == pytest.approx(9.0)
    assert made.delivered(but=1) == pytest.approx(8.0)


def test_a_pause_of_the_runs_own_does_not_count() -> None:
    made = tally(10, 0)
    made.sent(1000.0, held=False)
    made.answered(1000.0, refused=False)
    assert made.age == pytest.approx(2.0)


def test_a_share_is_more_than_chance_only_beyond_its_spread() -> None:
    assert tally(20, 1).exceeds(None), "where there is no chance, one is more"
    chance = tally(60, 3)
    assert not tally(100, 9).exceeds(chance)
    assert tally(100, 25).exceeds(chance)


def test_shares_of_few_calls_are_alike_and_of_many_are_not() -> None:
    assert tally(10, 3).is_like(tally(10, 6))
    assert not tally(100, 30).is_like(tally(100, 60))


def test_old_calls_fade() -> None:
    made = tally(4 * REMEMBERED, REMEMBERED)
    assert made.calls < 2 * REMEMBERED
    assert made.share < 0.15
