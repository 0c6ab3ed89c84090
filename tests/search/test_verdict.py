from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import BudgetSpent, StoppedByFailures
from optimizer.evaluate.evaluator import Evaluator, Progress, no_progress
from optimizer.evaluate.statistics import binomial, difference
from optimizer.ledger.answers import answers_of
from optimizer.ledger.ledger import Ledger
from optimizer.search.verdict import Outcome, final_test, judge
from optimizer.search.verdict import Tested as Side
from optimizer.types import Example, Failure, Score

from .conftest import Metric, Programs, Rule, candidate, scores

SEED, WINNER = candidate("seed"), candidate("winner")
TEST = [Example({"n": n}, {"answer": "yes"}) for n in range(10)]


def judged(seed: list[float | None], winner: list[float | None]) -> Outcome:
    return judge(Side(SEED, scores(*seed)), Side(WINNER, scores(*winner)))


@pytest.mark.parametrize(
    ("seed", "winner", "verdict"),
    [
        ([0.0] * 20, [1.0] * 20, "improved"),
        ([1.0] * 20, [0.0] * 20, "worse"),
        ([1.0, 0.0] * 10, [0.0, 1.0] * 10, "inconclusive"),
        ([0.0], [1.0], "inconclusive"),
        ([], [], "inconclusive"),
        ([None] * 5, [1.0] * 5, "inconclusive"),
    ],
)
def test_the_interval_of_the_difference_decides(
    seed: list[float | None], winner: list[float | None], verdict: str
) -> None:
    assert judged(seed, winner).verdict == verdict


def test_only_examples_that_both_answered_count() -> None:
    outcome = judged([0.0, None, 1.0, 1.0], [1.0, 1.0, None, 1.0])
    assert outcome.examples == 2
    assert outcome.mean == 0.5
    assert outcome.ci95 == difference([1.0, 1.0], [0.0, 1.0])
    assert [score.value for score in outcome.winner.scores] == [1.0, 1.0, 1.0]


def test_a_winner_that_leaves_many_examples_unanswered_is_not_called_better() -> None:
    """It answers those that suit it."""
    many, few = ([1.0] * answered + [None] * (100 - answered) for answered in (40, 80))
    outcome = judged([0.0] * 100, many)
    assert (outcome.verdict, outcome.examples, outcome.unanswered) == ("inconclusive", 40, 60)
    assert judged([0.0] * 100, few).verdict == "improved"
    assert judged(many, [0.0] * 100).verdict == "worse"
    assert judged(many, many).unanswered == 0


@pytest.mark.parametrize("missing", [4, 8, 16, 20])
def test_a_winner_that_fails_where_it_is_worse_is_not_called_better(missing: int) -> None:
    """Of 100 it answers those rightly that suit it; the seed answers the missing ones rightly, too."""
    gain = missing // 2 + 8
    seed = [1.0] * missing + [0.0] * gain + [1.0] * (100 - missing - gain)
    outcome = judged(seed, [None] * missing + [1.0] * (100 - missing))
    assert outcome.ci95[0] > 0 > outcome.worst[0]
    assert (outcome.verdict, outcome.open, outcome.too_few_answers) == ("inconclusive", True, False)


def test_missing_answers_leave_a_verdict_that_they_cannot_change() -> None:
    better = judged([None, *[0.0] * 39], [None, None, *[1.0] * 38])
    assert (better.verdict, better.examples, better.unanswered, better.unmatched) == ("improved", 38, 1, 0)
    low, _ = difference([0.0] + [1.0] * 38, [0.0] * 39)
    assert better.worst == (low, better.ci95[1])
    worse = judged([*[1.0] * 38, None, 1.0], [*[0.0] * 38, 0.0, None])
    assert (worse.verdict, worse.unanswered, worse.unmatched) == ("worse", 1, 1)
    assert worse.worst[1] == difference([0.0] * 39 + [1.0], [*[1.0] * 38, 0.0, 1.0])[1]


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 0.5, 1.0, None])] * 2), max_size=40))
def test_a_verdict_holds_whatever_the_missing_answers_were(pairs: list[tuple[float | None, float | None]]) -> None:
    """All filled in at random: none contradicts it."""
    verdict = judged([b for _, b in pairs], [a for a, _ in pairs]).verdict
    opposite = {"improved": "worse", "worse": "improved"}.get(verdict)
    some = [pair for pair in pairs if pair != (None, None)]
    for ours, theirs in ((0.0, 1.0), (1.0, 0.0), (0.5, 0.5)):
        whole = judged([theirs if b is None else b for _, b in some], [ours if a is None else a for a, _ in some])
        assert verdict == "inconclusive" or whole.verdict not in {opposite}
    worst = judged([1.0 if b is None else b for _, b in some], [0.0 if a is None else a for a, _ in some])
    assert verdict != "improved" or worst.verdict == "improved"


def test_a_side_has_its_own_mean_and_interval() -> None:
    tested = Side(SEED, scores(1.0, 0.0, None, 1.0, 1.0))
    assert tested.mean == 0.75
    assert tested.ci95 == binomial(3, 4)
    assert Side(SEED, []).mean == 0.0


def test_unequal_lengths_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        judged([1.0], [1.0, 0.0])


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1.0])] * 2), max_size=40))
def test_swapping_the_sides_swaps_the_verdict(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    swapped = {"improved": "worse", "worse": "improved", "inconclusive": "inconclusive"}
    assert judged(ours, theirs).verdict == swapped[judged(theirs, ours).verdict]  # type: ignore[arg-type]


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1.0])] * 2), max_size=40))
def test_improved_only_where_the_interval_lies_above_zero(pairs: list[tuple[float, float]]) -> None:
    outcome = judged([b for _, b in pairs], [a for a, _ in pairs])
    low, high = outcome.ci95
    assert (outcome.verdict == "improved") == (low > 0)
    assert (outcome.verdict == "worse") == (high < 0)


def finals(
    ledger: Ledger, rule: Rule, one: Any, two: Any, over: Any = TEST, progress: Progress = no_progress
) -> tuple[Outcome, Programs]:
    programs = Programs(rule)

    async def go() -> Outcome:
        evaluator = Evaluator(programs, dspy.utils.DummyLM([{}]), Metric(), ["answer"], ledger, 4)
        return await final_test(evaluator, one, two, over, progress)

    return asyncio.run(go()), programs


def test_both_prompts_answer_every_test_example_once(ledger: Ledger) -> None:
    outcome, programs = finals(ledger, lambda one, n: float(one.id == WINNER.id), SEED, WINNER)
    assert (outcome.verdict, outcome.mean, outcome.examples) == ("improved", 1.0, 10)
    assert sorted(programs.calls) == sorted((one.id, n) for one in (SEED, WINNER) for n in range(10))
    assert len(answers_of(ledger, SEED.id, "test")) == len(answers_of(ledger, WINNER.id, "test")) == 10
    assert answers_of(ledger, SEED.id, "validation") == []


def test_the_watcher_is_told_how_far_the_test_is(ledger: Ledger) -> None:
    over, heard = [Example({"n": n}, {"answer": "yes"}) for n in range(25)], list[tuple[int, int]]()
    finals(ledger, lambda one, n: 1.0, SEED, WINNER, over, lambda *counts: heard.append(counts))
    assert [answered for answered, _ in heard] == [10, 20, 30, 40, 45, 50]
    assert {planned for _, planned in heard} == {50}


def test_a_seed_that_won_is_tested_once_and_not_called_better(ledger: Ledger) -> None:
    outcome, programs = finals(ledger, lambda one, n: 1.0, SEED, candidate("seed"))
    assert len(programs.calls) == 10
    assert (outcome.verdict, outcome.mean, outcome.ci95) == ("inconclusive", 0.0, (0.0, 0.0))
    assert outcome.seed.mean == outcome.winner.mean == 1.0


def test_a_budget_that_ends_in_the_test_leaves_the_pairs_that_were_answered(ledger: Ledger) -> None:
    over = [Example({"n": n}, {"answer": "yes"}) for n in range(35)]
    spent = BudgetSpent("usd")

    def rule(one: Any, n: int) -> Any:
        return spent if n >= (25 if one.id == SEED.id else 15) else float(one.id == WINNER.id)

    outcome, programs = finals(ledger, rule, SEED, WINNER, over)
    # The seed answered two runs of ten, the winner one: that one is compared.
    assert [len(side.results) for side in (outcome.seed, outcome.winner)] == [10, 10]
    assert (outcome.examples, outcome.mean) == (10, 1.0)
    assert len(set(programs.calls)) == len(programs.calls)


def test_a_budget_without_room_for_the_test_proves_nothing(ledger: Ledger) -> None:
    outcome, _ = finals(ledger, lambda one, n: BudgetSpent("time"), SEED, WINNER)
    assert (outcome.verdict, outcome.examples, outcome.ci95) == ("inconclusive", 0, (-1.0, 1.0))


def test_another_error_in_the_test_ends_it(ledger: Ledger) -> None:
    with pytest.raises(StoppedByFailures):
        finals(ledger, lambda one, n: StoppedByFailures("down") if n == 3 else 1.0, SEED, WINNER)


def cut(results: list[Score | Failure], how_many: int) -> list[Score | Failure]:
    return [replace(one, cut=True) for one in results[:how_many] if isinstance(one, Score)] + results[how_many:]


@pytest.mark.parametrize(
    ("seed_cut", "winner_cut", "verdict"),
    [(0, 0, "improved"), (2, 0, "improved"), (12, 0, "inconclusive"), (12, 11, "inconclusive"), (12, 12, "improved")],
)
def test_a_winner_is_not_better_than_a_seed_that_was_cut_off(seed_cut: int, winner_cut: int, verdict: str) -> None:
    """The winner is right on 15 more of 100 examples; the seed might have been on the 12 where it was cut off."""
    seed = Side(SEED, cut(scores(*[0.0] * 15, *[1.0] * 85), seed_cut))
    winner = Side(WINNER, cut(scores(*[1.0] * 100), winner_cut))
    assert judge(seed, winner).verdict == verdict
    assert (seed.cut, winner.cut) == (seed_cut, winner_cut)


def test_a_seed_that_might_have_been_right_where_it_was_cut_off_is_worse_all_the_same() -> None:
    outcome = judge(Side(SEED, cut(scores(*[0.0] * 100), 10)), Side(WINNER, scores(*[1.0] * 100)))
    assert (outcome.verdict, outcome.hangs_on_cuts) == ("improved", False)
