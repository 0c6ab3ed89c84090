from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.search.board import Board
from optimizer.types import Calibration, Prompt, Score

from .conftest import candidate, scores

ONE, TWO, THREE = candidate("one"), candidate("two"), candidate("three")
values = st.lists(st.none() | st.sampled_from([0.0, 0.5, 1.0]), max_size=12)


def board(**results: list[float | None]) -> Board:
    made = Board()
    for name, row in results.items():
        made.add({"one": ONE, "two": TWO, "three": THREE}[name], scores(*row))
    return made


def test_blocks_are_appended() -> None:
    made = board(one=[1.0, None])
    made.add(ONE, scores(0.0))
    assert made.results(ONE.id) == scores(1.0, None, 0.0)
    assert made.scores(ONE.id) == [1.0, 0.0]
    assert made.failures(ONE.id) == 1
    assert made.results("nobody") == []


@given(values, values)
def test_pairs_are_only_what_both_have_answered(mine: list[float | None], theirs: list[float | None]) -> None:
    found = board(one=mine, two=theirs).paired(ONE.id, TWO.id)
    both = [(a, b) for a, b in zip(mine, theirs, strict=False) if a is not None and b is not None]
    assert list(zip(*found, strict=True)) == both


@pytest.mark.parametrize(
    ("row", "too_many"),
    [
        ([], False),
        ([None], True),
        ([1.0, 1.0, None], False),
        ([1.0, None, None], True),
        ([1.0] * 8 + [None] * 2, False),
        ([1.0] * 7 + [None] * 3, True),
        ([0.0] * 10, False),
    ],
)
def test_a_fifth_may_fail(row: list[float | None], too_many: bool) -> None:
    assert board(one=row).too_many_failures(ONE.id) is too_many


def test_an_estimate_takes_the_difficulty_of_the_examples_out() -> None:
    """One saw only the two hard examples; on those it is better than two by a half."""
    made = board(two=[0.0, 0.5, 1.0, 1.0], one=[0.5, 1.0])
    assert made.estimate(ONE.id, TWO.id) == pytest.approx(0.75 + 0.625 - 0.25)
    assert made.estimate(ONE.id, None) == 0.75
    assert made.estimate(TWO.id, TWO.id) == 0.625


def test_failures_are_left_out_of_means() -> None:
    made = board(one=[1.0, None, 1.0, 1.0, 1.0, 1.0])
    assert made.estimate(ONE.id, None) == 1.0


def test_the_leader_has_seen_enough_and_does_not_fail() -> None:
    made = board(one=[1.0, 1.0], two=[0.5] * 4, three=[1.0, None, None, 1.0])
    assert made.leader(4) == TWO.id
    assert made.leader(2) == ONE.id
    assert made.leader(5) is None


def test_ties_go_to_the_cheaper_then_to_the_older() -> None:
    made = board(one=[1.0] * 4, two=[1.0] * 4, three=[1.0] * 4)
    assert made.leader(4) == made.winner() == ONE.id
    made.costs = {ONE.id: 90.0, TWO.id: 30.0, THREE.id: 30.0}
    assert made.leader(4) == made.winner() == TWO.id


def test_a_lucky_start_does_not_win() -> None:
    made = board(one=[1.0] * 3, two=[0.95] * 100, three=[0.0] * 3)
    assert made.leader(1) == ONE.id
    assert made.winner() == TWO.id


def test_a_failing_candidate_never_wins() -> None:
    made = board(one=[1.0] * 5 + [None] * 5, two=[0.1] * 10)
    assert made.winner() == TWO.id
    assert board(one=[None] * 3).winner() is None
    assert Board().winner() is None


@given(st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=6, max_size=6), min_size=1, max_size=3))
def test_with_equal_sight_the_winner_has_the_best_mean(rows: list[list[float]]) -> None:
    made = board(**dict(zip(("one", "two", "three"), rows, strict=False)))  # type: ignore[arg-type]
    assert sum(made.scores(str(made.winner()))) == max(sum(row) for row in rows)


def test_failing_on_the_hard_examples_does_not_win() -> None:
    """One answers the eight easy examples only; on those two is as good, and it has the hard ones beside."""
    made = board(one=[1.0] * 8 + [None] * 2, two=[1.0] * 8 + [0.0, 1.0])
    made.costs = {ONE.id: 20.0, TWO.id: 10.0}
    assert made.estimate(ONE.id, None) > made.estimate(TWO.id, None)
    assert made.winner() == made.leader(10) == TWO.id


def test_a_candidate_that_lost_easy_answers_is_not_held_back() -> None:
    made = board(one=[None, None] + [0.0, 1.0] * 4, two=[1.0, 1.0] + [0.0, 1.0] * 3 + [0.0, 0.5])
    assert made.estimate(ONE.id, None) < made.estimate(TWO.id, None)
    assert made.winner() == ONE.id


def test_a_cycle_goes_to_the_one_that_is_least_beaten() -> None:
    one, two = [1.0, None, 0.5, 0.5, 0.5], [0.0, 1.0, None, 0.5, 0.5]
    made = board(one=one, two=two, three=[None, 0.5, 1.0, 0.5, 0.5])
    # On the four that each pair shares: one beats two by 1, two beats three by 0.5, three beats one by 0.5.
    assert made.winner() == ONE.id


def test_the_reported_score_of_the_luckiest_is_shrunken() -> None:
    """Eight candidates that answer half of the examples, by chance one of them 16 of 20."""
    made = Board()
    field = [candidate(str(place)) for place in range(8)]
    for place, one in enumerate(field):
        right = 16 if place == 3 else 10
        made.add(one, scores(*([1.0] * right + [0.0] * (20 - right))[place:], *([1.0] * place)[:place]))
    winner = str(made.winner())
    assert winner == field[3].id
    assert 0.5 < made.shrunken(winner) < made.estimate(winner, None)


def test_who_cannot_be_ranked_has_its_mean() -> None:
    made = board(one=[1.0, None, None], two=[1.0, 0.0, 1.0])
    assert made.shrunken(ONE.id) == 1.0
    assert made.shrunken("nobody") == 0.0


def test_of_equal_estimates_the_longest_seen_wins() -> None:
    made = board(one=[1.0, 0.0] * 5, two=[1.0, 0.0] * 20)
    made.costs = {ONE.id: 10.0, TWO.id: 30.0}
    assert made.winner() == TWO.id


def test_the_table_has_noughts_where_nobody_answered() -> None:
    values, answered = board(one=[1.0, None, 0.5], two=[0.5]).table([TWO.id, ONE.id], 2)
    assert values.tolist() == [[0.5, 0.0], [1.0, 0.0]]
    assert answered.tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert board().table([])[0].shape == (0, 0)


@given(values, values)
def test_what_is_replaced_is_as_if_it_had_been_added_so(before: list[float | None], after: list[float | None]) -> None:
    made, fresh = board(one=before, two=before), board(two=before, one=after)
    made.replace(ONE, scores(*after))
    assert made.results(ONE.id) == fresh.results(ONE.id) == scores(*after)
    assert made.scores(ONE.id) == fresh.scores(ONE.id)
    assert made.failures(ONE.id) == fresh.failures(ONE.id)
    assert made.paired(ONE.id, TWO.id) == fresh.paired(ONE.id, TWO.id)


def test_a_candidate_is_replaced_by_what_it_has_become() -> None:
    first = candidate(readout="calibrated")
    fitted = Calibration(1.0, (0.5, -0.5), 1.0, ("yes", "no"))
    later = candidate(readout="calibrated", calibration=fitted)
    made = Board()
    made.add(first, scores(1.0, 0.0))
    made.replace(later, scores(1.0, 1.0))
    assert list(made.candidates.values()) == [later]


def test_a_replaced_start_counts_as_it_was_beside_who_saw_no_more() -> None:
    """With two answers to fit on, the first is read wrongly; with four, rightly. A newcomer has two as well."""
    made = board(one=[0.0, 1.0])
    made.replace(ONE, scores(0.0, 1.0))
    made.replace(ONE, scores(1.0, 1.0, 0.0, 1.0))
    made.add(TWO, scores(1.0, 1.0))
    assert made.paired(TWO.id, ONE.id) == ([1.0, 1.0], [0.0, 1.0])
    assert made.table([ONE.id, TWO.id], 2)[0].tolist() == [[0.0, 1.0], [1.0, 1.0]]
    assert made.estimate(TWO.id, ONE.id) == pytest.approx(1.0 + 0.75 - 0.5)
    assert made.leader(2) == TWO.id
    assert made.leader(3) == ONE.id
    assert made.scores(ONE.id) == [1.0, 1.0, 0.0, 1.0]


def test_of_two_rivals_each_pair_is_compared_at_its_own_length() -> None:
    made = board(one=[0.0], two=[0.0], three=[0.5])
    for length in (1, 2, 3):
        made.replace(ONE, scores(*[0.0, 1.0, 1.0][-length:]))
    made.replace(TWO, scores(1.0, 0.0))
    assert made.paired(ONE.id, TWO.id)[0] == [1.0, 1.0]
    assert made.paired(ONE.id, THREE.id)[0] == [1.0]
    assert made.leader(1) == ONE.id


SEVERAL = replace(candidate("one", ensemble=(Prompt("two"),)), parents=(ONE.id, TWO.id))


@pytest.mark.parametrize(("start", "wins"), [(0.0, False), (3.0, True)])
def test_what_is_believed_counts_as_right_answers(start: float, wins: bool) -> None:
    made = Board({SEVERAL.id: start})
    made.add(ONE, scores(*[1.0] * 12, *[0.0] * 8))
    made.add(SEVERAL, scores(*[1.0] * 10, *[0.0] * 10))
    assert made.winner() == (SEVERAL if wins else ONE).id
    made.add(TWO, scores(*[1.0] * 14, *[0.0] * 6))
    assert made.winner() == TWO.id


def test_of_those_that_saw_more_or_less_the_belief_counts_as_well() -> None:
    tried = [Board(), Board({SEVERAL.id: 30.0})]
    for made in tried:
        made.add(ONE, scores(*[1.0, 1.0, 0.0] * 10))
        made.add(SEVERAL, scores(*[1.0, 0.0, 0.0] * 8))
        made.add(TWO, scores(*[0.0, 1.0, 0.0] * 10))
    assert [made.winner() for made in tried] == [ONE.id, SEVERAL.id]


def test_ensembles_and_prompts_alone_have_leaders_of_their_own() -> None:
    made = board(one=[1.0, 0.0], two=[0.0, 0.0])
    assert made.leader(2, ensembles=True) is None
    made.add(SEVERAL, scores(1.0, 1.0))
    assert (made.leader(2), made.leader(2, ensembles=True)) == (ONE.id, SEVERAL.id)


@pytest.mark.parametrize(("wrong", "wins"), [("b", False), ("c", True)])
def test_an_ensemble_that_answers_what_its_first_prompt_does_has_no_head_start(wrong: str, wins: bool) -> None:
    made = Board({SEVERAL.id: 3.0})
    made.add(ONE, [Score(1.0, {"x": "a"}), Score(0.0, {"x": "b"})])
    made.add(SEVERAL, [Score(1.0, {"x": "a"}), Score(0.0, {"x": wrong})])
    made.costs = {ONE.id: 100.0, SEVERAL.id: 300.0}
    assert made.winner() == (SEVERAL if wins else ONE).id
