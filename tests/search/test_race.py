from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.search.board import Board
from optimizer.search.race import BettingRace, PairedRace, Race, survivors
from optimizer.types import Prompt, Score

from .conftest import candidate, scores

ALL = [candidate(str(n)) for n in range(6)]
NO_RUNGS, RUNGS_ONLY = BettingRace(keep=1.0), BettingRace(error=1e-300)
rows = st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=10, max_size=10), min_size=1, max_size=6)


def made(*results: list[float | None]) -> tuple[Board, list[str]]:
    board = Board()
    for one, row in zip(ALL, results, strict=False):
        board.add(one, scores(*row))
    return board, [one.id for one in ALL[: len(results)]]


def test_the_clearly_worse_leaves() -> None:
    board, ids = made([1.0] * 10, [0.0] * 10)
    assert NO_RUNGS.staying(board, ids, 10, 10) == {ids[0]}


def test_a_few_lost_examples_are_no_proof() -> None:
    board, ids = made([1.0] * 10, [1.0] * 7 + [0.0] * 3)
    assert NO_RUNGS.staying(board, ids, 10, 10) == set(ids)


def test_at_a_rung_the_lower_third_leaves() -> None:
    board, ids = made([0.9] * 10, [0.8] * 10, [0.85] * 10)
    assert RUNGS_ONLY.staying(board, ids, 10, 10) == {ids[0], ids[2]}
    for blocks, staying in ((2, 2), (3, 3), (4, 2), (5, 3), (8, 2)):
        board, ids = made(*([value] * 10 * blocks for value in (0.9, 0.8, 0.85)))
        assert len(RUNGS_ONLY.staying(board, ids, 10 * blocks, 10)) == staying


def test_a_last_block_that_is_short_counts_as_one() -> None:
    board, ids = made([0.9] * 17, [0.8] * 17, [0.7] * 17)
    assert RUNGS_ONLY.staying(board, ids, 17, 10) == set(ids[:2])


def test_an_earlier_leader_that_is_not_running_sets_the_bar() -> None:
    board, ids = made([1.0] * 30, [0.0] * 30, [1.0] * 30)
    assert NO_RUNGS.staying(board, ids[1:], 30, 10) == {ids[2]}


def test_without_a_leader_nobody_leaves() -> None:
    board, ids = made([1.0], [0.0])
    assert BettingRace().staying(board, ids, 10, 10) == set(ids)


@pytest.mark.parametrize("wrong", [{"error": 0.0}, {"error": 1.0}, {"keep": 0.0}, {"keep": 1.1}])
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="are needed, not"):
        BettingRace(**wrong)


def test_the_quick_race_needs_no_proof() -> None:
    """Two lost examples of five are 1.6 standard errors, one is 1.0."""
    board, ids = made([1.0] * 5, [1.0, 0.0, 1.0, 0.0, 1.0])
    assert PairedRace(keep=1.0).staying(board, ids, 5, 5) == {ids[0]}
    assert NO_RUNGS.staying(board, ids, 5, 5) == set(ids)
    board, ids = made([1.0] * 5, [1.0, 1.0, 1.0, 0.0, 1.0])
    assert PairedRace(keep=1.0).staying(board, ids, 5, 5) == set(ids)


def test_the_quick_race_keeps_half_at_a_rung() -> None:
    board, ids = made([0.9] * 10, [0.8] * 10, [0.85] * 10, [0.7] * 10)
    assert PairedRace(z=99.0).staying(board, ids, 10, 10) == {ids[0], ids[2]}
    board, ids = made(*([value] * 30 for value in (0.9, 0.8, 0.85, 0.7)))
    assert PairedRace(z=99.0).staying(board, ids, 30, 10) == set(ids)


@pytest.mark.parametrize(("race", "share"), [(BettingRace(), 2 / 3), (PairedRace(), 1 / 2)])
@settings(deadline=None)
@given(results=rows)
def test_the_leader_stays_and_nobody_joins(race: Race, share: float, results: list[list[float | None]]) -> None:
    board, ids = made(*results)
    staying = race.staying(board, ids, 10, 10)
    assert board.leader(10) in staying
    assert staying <= set(ids)
    assert len(staying) <= math.ceil(share * len(ids))


def test_who_leaves_is_told_whom_it_is_behind_and_who_failed_is_in_neither() -> None:
    board, ids = made([1.0] * 10, [0.0] * 10, [None] * 10)
    staying, leaving = survivors(NO_RUNGS, board, dict(enumerate(ids)), 10, 10)
    assert (staying, leaving) == ([0], {1: ids[0]})


def test_who_is_in_an_ensemble_that_goes_on_stays() -> None:
    good, bad, other = ALL[0], ALL[1], ALL[2]
    together = replace(candidate("0", ensemble=(Prompt("1"),)), parents=(good.id, bad.id))
    board = Board()
    for one, row in ((good, [1.0] * 10), (bad, [0.0] * 10), (other, [0.0] * 10), (together, [0.5] * 10)):
        board.add(one, scores(*row))
    staying, leaving = survivors(NO_RUNGS, board, dict(enumerate([good.id, bad.id, other.id, together.id])), 10, 10)
    assert staying == [0, 1, 3]
    assert leaving == {2: good.id}


def test_a_prompt_alone_does_not_leave_because_of_an_ensemble() -> None:
    board, ids = made([0.0] * 10)
    ensembles = [candidate("a", ensemble=(Prompt("b"),)), candidate("a", ensemble=(Prompt("c"),))]
    board.add(ensembles[0], scores(*[1.0] * 10))
    board.add(ensembles[1], scores(*[0.0] * 10))
    running = dict(enumerate([*ids, *(one.id for one in ensembles)]))
    assert survivors(NO_RUNGS, board, running, 10, 10) == ([0, 1], {2: ensembles[0].id})


def test_who_is_in_an_ensemble_takes_nobody_s_share() -> None:
    members, others = ALL[:2], ALL[2:]
    together = replace(candidate("0", ensemble=(Prompt("1"),)), parents=(members[0].id, members[1].id))
    board = Board()
    for number, one in enumerate([*members, *others, together]):
        board.add(one, scores(*[0.9 - number / 100] * 10))
    running = dict(enumerate([one.id for one in (*members, *others, together)]))
    staying, _ = survivors(BettingRace(error=1e-300, keep=0.5), board, running, 10, 10)
    assert staying == [0, 1, 2, 3, 6], "half of the four others"


def front_board(*rows: tuple[float, float, float]) -> tuple[Board, list[str]]:
    """Return a board for a front of three: who scores so much on each example, at such a price and time."""
    board = Board(cost="usd", objective=("score", "usd", "latency"))
    for one, (value, usd, seconds) in zip(ALL, rows, strict=False):
        board.add(one, [Score(value, calls=1, usd=usd, seconds=seconds)] * 10)
    return board, [one.id for one in ALL[: len(rows)]]


def test_in_a_race_for_the_front_nobody_is_beaten_by_who_costs_more() -> None:
    dear, cheap, fast, beaten = (1.0, 0.01, 1.0), (0.2, 0.001, 1.0), (0.3, 0.01, 0.1), (0.2, 0.02, 2.0)
    board, ids = front_board(dear, cheap, fast, beaten)
    assert NO_RUNGS.staying(board, ids, 10, 10) == set(ids[:3])
    assert survivors(NO_RUNGS, board, dict(enumerate(ids)), 10, 10) == ([0, 1, 2], {3: ids[0]})
    by_score = Board()
    for one in ALL[:4]:
        by_score.add(one, board.results(one.id))
    assert NO_RUNGS.staying(by_score, ids, 10, 10) == {ids[0]}


def test_at_a_rung_of_a_race_for_the_front_who_adds_least_to_it_leaves() -> None:
    board, ids = front_board((0.9, 0.01, 1.0), (0.2, 0.001, 1.0), (0.21, 0.002, 1.0), (0.5, 0.003, 1.0))
    # 0 is the best, 1 has no rival, and of the others 2 gains the less for its price.
    assert BettingRace(error=1e-300, keep=0.75).staying(board, ids, 10, 10) == {ids[0], ids[1], ids[3]}


def test_whose_price_nobody_knows_has_no_rival() -> None:
    board, ids = front_board((0.9, 0.01, 1.0), (0.2, 0.02, 2.0))
    board.add(ALL[2], [Score(0.1, calls=1, usd=0.05)] * 10)
    assert NO_RUNGS.staying(board, [*ids, ALL[2].id], 10, 10) == {ids[0], ALL[2].id}
