from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from optimizer.errors import BudgetSpent, CallError, StoppedByFailures
from optimizer.ledger.answers import answers_of
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.trials import all_trials
from optimizer.search import loop
from optimizer.search.board import Board
from optimizer.search.loop import Search
from optimizer.search.proposals import NoProposals
from optimizer.search.race import BettingRace, PairedRace, Race
from optimizer.search.sampler import Sampler
from optimizer.types import Candidate

from .conftest import VALIDATION, candidate, make_search, space

SEED = candidate("the seed")


def by_count(one: Candidate, n: int) -> float:
    """More demos are better; the seed is worst."""
    return min(1.0, 0.2 * one.prompts["predict"].count + 0.1 * (n % 2))


def run(search: Search, trials: int) -> str | None:
    return asyncio.run(search.run(SEED, trials))


def test_the_seed_is_trial_nought_and_every_trial_is_in_the_ledger(ledger: Ledger) -> None:
    search, _, events = make_search(ledger, by_count)
    run(search, 10)
    trials = all_trials(ledger)
    assert [row.number for row in trials] == list(range(10))
    assert (trials[0].candidate_id, trials[0].candidate.origin) == (SEED.id, "seed")
    started = [event for event in events if event.kind == "started"]
    assert [(e.number, e.candidate.id) for e in started] == [(row.number, row.candidate_id) for row in trials]
    assert sorted(e.number for e in events if e.kind == "ended") == list(range(10))
    assert {row.state for row in trials} <= {"complete", "raced_out", "failed"}
    for row in trials:
        assert row.candidate.id == row.candidate_id


@pytest.mark.parametrize("trials", [1, 3, 6])
def test_not_more_trials_than_asked(ledger: Ledger, trials: int) -> None:
    search, *_ = make_search(ledger, by_count)
    run(search, trials)
    assert len(all_trials(ledger)) == trials


def test_the_best_wins(ledger: Ledger) -> None:
    search, *_ = make_search(ledger, by_count)
    winner = run(search, 12)
    assert search.board.candidates[str(winner)].prompts["predict"].count == 4
    assert search.board.scores(str(winner)) == [pytest.approx(0.8 + 0.1 * (n % 2)) for n in range(20)]


@pytest.mark.parametrize("strategy", ["default", "random"])
def test_one_seed_gives_one_search(new_ledger: Callable[[], Ledger], strategy: str) -> None:
    def outcome(seed: int) -> list[tuple[Any, ...]]:
        ledger = new_ledger()
        run(make_search(ledger, by_count, seed=seed, strategy=strategy)[0], 16)
        return [(t.number, t.candidate_id, t.state, t.value, t.score, t.seen, t.reason) for t in all_trials(ledger)]

    assert outcome(1) == outcome(1)
    assert outcome(1) != outcome(2)


@pytest.mark.parametrize("race", [BettingRace(), PairedRace()])
def test_of_equals_the_first_asked_wins_however_late_its_answers_come(ledger: Ledger, race: Race) -> None:
    """A resumed run has other latencies, and has to end as the first would have."""
    late = {SEED.id: 0.02}
    search, *_ = make_search(ledger, lambda one, n: n % 2, race=race, latency=lambda one, n: late.get(one, 0.0))
    assert run(search, 8) == SEED.id
    assert list(search.board.candidates) == [row.candidate_id for row in all_trials(ledger)]


def test_an_example_that_nobody_answers_ends_nobody(ledger: Ledger) -> None:
    """Of the quick race's first three it is a third."""

    def rule(one: Candidate, n: int) -> Any:
        return CallError("content_filter", "no") if n == 1 else by_count(one, n)

    search, *_ = make_search(ledger, rule, block=3, race=PairedRace())
    assert search.board.candidates[str(run(search, 12))].prompts["predict"].count == 4
    assert {row.state for row in all_trials(ledger)} == {"complete", "raced_out"}


def test_the_raced_out_saw_fewer_examples(ledger: Ledger) -> None:
    search, programs, _ = make_search(ledger, by_count)
    run(search, 12)
    calls = Counter(one for one, _ in programs.calls)
    states = Counter()  # type: ignore[var-annotated]
    for row in all_trials(ledger):
        states[row.state] += 1
        assert row.seen == calls[row.candidate_id]
        assert (row.seen < 20) == (row.state == "raced_out")
        if row.state == "raced_out":
            assert row.reason.startswith(("behind #", "level with #"))
    assert states["complete"] >= 1
    assert states["raced_out"] >= 6


def test_all_see_the_examples_in_one_order(ledger: Ledger) -> None:
    search, *_ = make_search(ledger, by_count)
    run(search, 8)
    order = [e.id for e in VALIDATION]
    for one in search.board.candidates:
        rows = answers_of(ledger, one, "validation")
        assert [row.position for row in rows] == list(range(len(rows)))
        assert [row.example for row in rows] == order[: len(rows)]
        assert [row.value for row in rows] == search.board.scores(one)


def test_no_example_is_paid_twice_for_one_candidate(ledger: Ledger) -> None:
    search, programs, _ = make_search(ledger, by_count)
    run(search, 20)
    assert max(Counter(programs.calls).values()) == 1


def test_a_space_of_one_prompt_is_scored_once(ledger: Ledger) -> None:
    """Every ask gives the same prompt: its results must not be added up."""
    search, programs, _ = make_search(ledger, by_count, space(instructions=1, formats=("turns",), counts=(0,)))
    run(search, 12)
    assert max(Counter(programs.calls).values()) == 1
    for one in search.board.candidates:
        assert len(search.board.results(one)) <= len(VALIDATION)
        assert [row.value for row in answers_of(ledger, one, "validation")] == search.board.scores(one)


def test_a_search_ends_when_there_is_nothing_left_to_try(ledger: Ledger) -> None:
    search, programs, _ = make_search(ledger, by_count, space(instructions=2, formats=("turns",), counts=(0, 2)))
    run(search, 2_000)
    assert len(all_trials(ledger)) < 60
    assert len(search.board.candidates) == len({one for one, _ in programs.calls}) > 4


def test_who_proposes_late_is_waited_for(ledger: Ledger) -> None:
    search, *_ = make_search(ledger, by_count, space(instructions=1, formats=("turns",), counts=(0,)))

    class Late(NoProposals):
        rounds = 0

        async def grow(self, sampler: Sampler, board: Board) -> None:
            self.rounds += 1
            if self.rounds == 4:
                sampler.grow(space(instructions=2, formats=("turns",), counts=(0,)))

    search.proposals = Late()
    run(search, 2_000)
    assert "instruction 1" in {one.prompts["predict"].instruction for one in search.board.candidates.values()}


def test_a_failing_candidate_is_a_failed_trial_never_the_winner(ledger: Ledger) -> None:
    def rule(one: Candidate, n: int) -> Any:
        if one.prompts["predict"].count == 4:
            return CallError("server", "down") if n % 2 else 1.0
        return by_count(one, n)

    search, *_ = make_search(ledger, rule)
    winner = search.board.candidates[str(run(search, 12))]
    assert winner.prompts["predict"].count == 2
    failed = [row for row in all_trials(ledger) if row.state == "failed"]
    assert failed
    for row in failed:
        assert row.value is None
        assert row.failures > 0
        assert "answers never came (server)" in row.reason
    assert all(row.params["predict.count"] == 4 for row in failed)


def test_a_few_failures_do_not_lower_the_score(ledger: Ledger) -> None:
    search, *_ = make_search(ledger, lambda one, n: CallError("timeout", "slow") if n == 1 else 1.0)
    run(search, 1)
    (row,) = all_trials(ledger)
    assert (row.state, row.score, row.value, row.failures, row.seen) == ("complete", 1.0, 1.0, 1, 20)


def test_all_failing_leaves_no_winner(ledger: Ledger) -> None:
    search, *_ = make_search(ledger, lambda one, n: CallError("server", "down"))
    assert run(search, 4) is None
    assert {row.state for row in all_trials(ledger)} == {"failed"}


@pytest.mark.parametrize("calls", [25, 43, 90])
def test_a_spent_budget_ends_the_search_with_a_winner(ledger: Ledger, calls: int) -> None:
    made = itertools.count()

    def rule(one: Candidate, n: int) -> Any:
        return BudgetSpent("calls") if next(made) >= calls else by_count(one, n)

    search, *_ = make_search(ledger, rule)
    winner = run(search, 40)
    assert winner in search.board.candidates
    trials = all_trials(ledger)
    assert len(trials) < 40
    assert {row.state for row in trials} <= {"complete", "raced_out"}
    assert any("the budget was spent" in row.reason for row in trials)
    assert all(row.value is not None for row in trials if row.seen)


@pytest.mark.parametrize("calls", [30, 57, 101])
def test_where_an_example_takes_two_calls_the_network_does_not_decide_who_is_scored(
    new_ledger: Callable[[], Ledger], calls: int
) -> None:
    """Second calls may come late; the first ones of later candidates must not have taken what they need."""

    def searched(pattern: int) -> list[tuple[str, int]]:
        used = itertools.count()

        def rule(one: Candidate, n: int) -> Any:
            return BudgetSpent("calls") if next(used) >= calls else by_count(one, n)

        def latency(one: str, n: int) -> float:
            return random.Random(f"{pattern} {one} {n}").random() / 2000

        ledger = new_ledger()
        search, programs, _ = make_search(ledger, rule, latency=latency)
        programs.steps = 2
        search.evaluator = replace(search.evaluator, concurrency=8, calls_left=lambda: calls - len(programs.calls))
        run(search, 12)
        return [(row.candidate_id, row.seen) for row in all_trials(ledger)]

    first, *others = [searched(pattern) for pattern in range(4)]
    assert others == [first] * 3


def test_a_budget_that_is_spent_at_once_leaves_no_winner_and_no_running_trial(ledger: Ledger) -> None:
    search, *_ = make_search(ledger, lambda one, n: BudgetSpent("calls"))
    assert run(search, 40) is None
    assert {row.state for row in all_trials(ledger)} == {"raced_out"}
    assert all(row.value is None for row in all_trials(ledger))


def test_a_provider_that_is_gone_ends_the_search_with_its_error(ledger: Ledger) -> None:
    search, *_ = make_search(ledger, lambda one, n: StoppedByFailures("no key"))
    with pytest.raises(StoppedByFailures, match="no key"):
        run(search, 4)


def test_a_block_larger_than_the_examples_is_one_block(ledger: Ledger) -> None:
    search, *_ = make_search(ledger, by_count, block=50)
    run(search, 4)
    assert {row.seen for row in all_trials(ledger)} == {20}


def test_the_loop_fits_on_a_screen() -> None:
    assert len(Path(loop.__file__).read_text(encoding="utf-8").splitlines()) <= 80
