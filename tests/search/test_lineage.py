from __future__ import annotations

import random

from optuna.trial import FixedTrial

from optimizer.propose.base import Proposal, Subject, no_attempts
from optimizer.search.board import Board
from optimizer.search.lineage import informed, with_proposal
from optimizer.types import Candidate, Prompt

from .conftest import candidate, scores, space

ONE, TWO, NEW = candidate("one"), candidate("two"), candidate("new")


def told(board: Board, best: str) -> Subject:
    start = Subject("Do it.", "predict", "one", {}, ())
    return informed(start, space(), board, best, 0, random.Random(1), no_attempts)


def test_who_is_told_a_score_is_told_one_that_can_be() -> None:
    """Two was right three times where one was wrong: carried to all examples that is 2.0."""
    board = Board()
    board.add(ONE, scores(*[0.0] * 3, *[1.0] * 17))
    board.add(TWO, scores(1.0, 1.0, 1.0))
    assert board.estimate(TWO.id, ONE.id) > 1.5
    assert {one.id: one.score for one in told(board, ONE.id).past} == {TWO.id: 1.0, ONE.id: 0.85}


def test_what_has_no_answer_yet_is_not_told_of() -> None:
    board = Board()
    board.add(ONE, scores(1.0, 0.0))
    board.enter(NEW)
    board.add(TWO, scores(None, None))
    assert [one.id for one in told(board, ONE.id).past] == [ONE.id]


def test_a_child_of_the_seed_has_a_readout_of_the_space() -> None:
    calibrating, name = space(readouts=("calibrated",)), "predict"
    seed = Candidate({name: Prompt(calibrating.pools[name].instructions[0].text, "turns")})
    assert calibrating.params_of(seed) is None, "it reads words"
    wider, params = with_proposal(calibrating, Proposal("Do it better.", "reflect"), name, seed)
    assert params is not None
    prompt = wider.suggest(FixedTrial(params)).prompts[name]
    assert (prompt.instruction, prompt.format, prompt.readout) == ("Do it better.", "turns", "calibrated")
