"""A candidate's next block, and what a calibrated one makes of all its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import dspy
import numpy as np
import pytest

from optimizer.errors import BudgetSpent
from optimizer.evaluate.evaluator import Evaluator, phase_tag
from optimizer.ledger.answers import answers_of
from optimizer.ledger.ledger import Ledger
from optimizer.search.blocks import score_up_to
from optimizer.search.board import Board
from optimizer.types import Candidate, Example, Prompt, Readout

LABELS = ("card", "loan")
SIGNATURE = dspy.Signature("n -> team: Literal['card', 'loan']", "Sort.")
EXAMPLES = [Example({"n": n}, {"team": LABELS[n % 2]}) for n in range(40)]


class Program(dspy.Module):  # type: ignore[misc]
    """Favours `card` so much that it always says so, and counts what it was asked."""

    def __init__(self, asked: list[int]) -> None:
        super().__init__()
        self.predict, self.asked = dspy.Predict(SIGNATURE), asked

    async def aforward(self, n: int) -> dspy.Prediction:
        self.asked.append(n)
        chance = 0.95 if n % 2 == 0 else 0.65
        logprobs = tuple(np.log([chance, 1 - chance]).tolist())
        return dspy.Prediction(team="card", label_logprobs=logprobs)


class Programs:
    def __init__(self) -> None:
        self.asked: list[int] = []

    def build(self, one: Candidate) -> dspy.Module:
        return Program(self.asked)


class Metric:
    name, version = "same", "1"

    def __call__(self, example: Example, answer: object) -> tuple[float, str]:
        return float(isinstance(answer, dict) and answer["team"] == example.outputs["team"]), ""


def candidate(readout: Readout) -> Candidate:
    return Candidate({"predict": Prompt("i", readout=readout)})


@pytest.fixture
def score(ledger: Ledger) -> Callable[[Board, Candidate, int], bool]:
    """Return what scores a candidate on the first so many examples."""
    programs = Programs()
    evaluator = Evaluator(programs, dspy.utils.DummyLM([{}]), Metric(), ["team"], ledger, 4)

    def run(board: Board, one: Candidate, count: int) -> bool:
        programs.asked.clear()
        known = len(board.results(one.id))
        new = asyncio.run(score_up_to(evaluator, board, one, EXAMPLES[:count], phase_tag("search", 0)))
        assert sorted(programs.asked) == list(range(known, max(known, count)))
        return new

    return run


Scores = Callable[[Board, Candidate, int], bool]


@pytest.mark.parametrize("readout", ["generate", "choose", "calibrated"])
def test_only_what_is_new_is_asked(score: Scores, readout: Readout) -> None:
    board, one = Board(), candidate(readout)
    assert score(board, one, 10)
    assert not score(board, one, 10)
    assert score(board, one, 25)
    assert len(board.results(one.id)) == 25


def test_the_pre_checks_answers_count(score: Scores) -> None:
    board, one = Board(), candidate("generate")
    score(board, one, 4)
    assert not score(board, one, 3)
    assert score(board, one, 6)


def test_a_calibrated_candidates_older_answers_are_read_anew(score: Scores, ledger: Ledger) -> None:
    board, one = Board(), candidate("calibrated")
    score(board, one, 2)
    assert board.scores(one.id) == [1.0, 0.0], "two answers show nothing"
    score(board, one, 40)
    assert board.scores(one.id) == [1.0] * 40
    assert [row.value for row in answers_of(ledger, one.id, "validation")] == [1.0] * 40
    (held,) = board.candidates.values()
    assert held.id == one.id
    calibration = held.prompts["predict"].calibration
    assert calibration is not None
    assert calibration.labels == LABELS
    assert calibration.offsets[1] > calibration.offsets[0]


@pytest.mark.parametrize("readout", ["generate", "calibrated"])
def test_what_was_answered_before_the_budget_ended_counts(ledger: Ledger, readout: Readout) -> None:
    class Spending(Programs):
        def build(self, one: Candidate) -> dspy.Module:
            program = super().build(one)
            answer = program.aforward

            async def until_it_ends(n: int) -> dspy.Prediction:
                if n == 7:
                    raise BudgetSpent("calls")
                return await answer(n)

            program.aforward = until_it_ends
            return program

    board, one = Board(), candidate(readout)
    evaluator = Evaluator(Spending(), dspy.utils.DummyLM([{}]), Metric(), ["team"], ledger, 1)
    with pytest.raises(BudgetSpent):
        asyncio.run(score_up_to(evaluator, board, one, EXAMPLES[:10], phase_tag("search", 0)))
    assert len(board.results(one.id)) == 7
    assert [row.value for row in answers_of(ledger, one.id, "validation")] == board.scores(one.id)


@pytest.mark.parametrize("readout", ["generate", "choose"])
def test_others_stay_what_they_were(score: Scores, readout: Readout) -> None:
    board, one = Board(), candidate(readout)
    score(board, one, 40)
    assert board.scores(one.id) == [1.0, 0.0] * 20
    assert list(board.candidates.values()) == [one]
