from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from optimizer.search.board import Board
from optimizer.search.race import PairedRace

from .conftest import candidate, scores

ALL = [candidate(str(n)) for n in range(6)]
rows = st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=10, max_size=10), min_size=1, max_size=6)


def made(*results: list[float]) -> tuple[Board, list[str]]:
    board = Board()
    for one, row in zip(ALL, results, strict=False):
        board.add(one, scores(*row))
    return board, [one.id for one in ALL[: len(results)]]


def test_the_clearly_worse_leaves() -> None:
    board, ids = made([1.0] * 30, [0.0] * 30)
    assert PairedRace().staying(board, ids, 30, 10) == {ids[0]}


def test_an_equal_stays_between_the_rungs() -> None:
    board, ids = made([1.0, 0.0] * 15, [0.0, 1.0] * 15)
    assert PairedRace().staying(board, ids, 30, 10) == set(ids)


def test_at_a_rung_the_lower_half_leaves() -> None:
    board, ids = made([0.9] * 10, [0.8] * 10, [0.85] * 10, [0.7] * 10)
    assert PairedRace(z=99.0).staying(board, ids, 10, 10) == {ids[0], ids[2]}
    assert PairedRace(z=99.0).staying(board, ids, 30, 10) == set(ids)
    again = made([0.9] * 40, [0.8] * 40, [0.85] * 40, [0.7] * 40)[0]
    assert PairedRace(z=99.0).staying(again, ids, 40, 10) == {ids[0], ids[2]}


def test_a_last_block_that_is_short_counts_as_one() -> None:
    board, ids = made([0.9] * 17, [0.8] * 17)
    assert PairedRace(z=99.0).staying(board, ids, 17, 10) == {ids[0]}


def test_of_three_two_stay() -> None:
    board, ids = made([0.9] * 10, [0.8] * 10, [0.7] * 10)
    assert PairedRace(z=99.0).staying(board, ids, 10, 10) == {ids[0], ids[1]}


def test_an_earlier_leader_that_is_not_running_sets_the_bar() -> None:
    board, ids = made([1.0] * 30, [0.0] * 30, [1.0] * 30)
    assert PairedRace().staying(board, ids[1:], 30, 10) == {ids[2]}


def test_without_a_leader_nobody_leaves() -> None:
    board, ids = made([1.0], [0.0])
    assert PairedRace().staying(board, ids, 10, 10) == set(ids)


def test_few_equal_answers_are_no_certainty() -> None:
    assert not PairedRace(z=2.0).behind([0.5], [1.0])
    assert PairedRace(z=2.0).behind([0.5] * 8, [1.0] * 8)
    assert not PairedRace().behind([], [])
    assert not PairedRace().behind([1.0] * 50, [0.0] * 50)
    assert not PairedRace().behind([0.5] * 50, [0.5] * 50)


@given(rows)
def test_the_leader_stays_and_nobody_joins(results: list[list[float]]) -> None:
    board, ids = made(*results)
    staying = PairedRace().staying(board, ids, 10, 10)
    assert board.leader(10) in staying
    assert staying <= set(ids)
    assert len(staying) <= -(-len(ids) // 2)
