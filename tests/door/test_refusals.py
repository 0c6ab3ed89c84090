"""What is taken for chance; `test_pace.py` shows what comes of it."""

from __future__ import annotations

from optimizer.door.refusals import ENOUGH, KNOWN, Refusals


def delivered(rate: float, answers: int = ENOUGH) -> Refusals:
    """Return what is known after so many answers at a rate, and a decrease."""
    found = Refusals()
    for _ in range(answers):
        found.count(rate, refused=False)
    found.decreased(rate, rate)
    return found


def test_a_refusal_below_what_was_delivered_is_chance() -> None:
    found = delivered(10.0)
    for _ in range(5):
        found.count(6.0, refused=False)
    found.count(6.0, refused=True)
    assert found.by_chance(6.0)
    assert not found.by_chance(9.9), "there a limit may explain it"


def test_a_few_answers_tell_no_rate() -> None:
    found = delivered(10.0, ENOUGH - 1)
    found.count(6.0, refused=False)
    found.count(6.0, refused=True)
    assert not found.by_chance(6.0)


def test_many_refusals_are_a_limit_that_has_fallen_and_the_rate_is_learned_anew() -> None:
    found = delivered(10.0)
    for number in range(ENOUGH):
        found.count(6.0, refused=number % 2 == 0)
    assert not found.by_chance(6.0)
    found.decreased(6.0, 3.0)
    assert found.is_below(2.5)
    assert not found.is_below(6.0)


def test_once_their_share_is_known_so_many_are_chance_at_any_rate() -> None:
    found = delivered(10.0)
    for number in range(100 * KNOWN):
        found.count(5.0, refused=number % 20 == 0)
    assert found.known
    found.decreased(5.0, 4.75)
    for number in range(40):
        found.count(50.0, refused=number in (7, 23))
    assert found.by_chance(50.0), "2 of 40 where 1 of 20 is usual"
    for _ in range(8):
        found.count(50.0, refused=True)
    assert not found.by_chance(50.0)


def test_nothing_but_refusals_is_never_chance() -> None:
    found = delivered(10.0)
    found.count(1.0, refused=True)
    assert not found.by_chance(1.0)
