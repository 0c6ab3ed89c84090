"""One candidate's next block: what it has not answered yet is asked, scored, and read by what it has shown so far."""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.evaluate.evaluator import BlockCut, Evaluator, Result
from optimizer.evaluate.readouts import calibrated
from optimizer.ledger.calls import CallTag
from optimizer.search.board import Board
from optimizer.types import Candidate, Example


async def score_up_to(
    evaluator: Evaluator, board: Board, candidate: Candidate, examples: Sequence[Example], tag: CallTag
) -> bool:
    """Let the board know a candidate's results on the first validation examples; False where it did already.

    The pre-check may have asked them, or the same prompt was tried before. A calibrated candidate is fitted anew to
    all that it has answered by now, and its older answers are read by that, too. Raises BudgetSpent: what was answered
    before is on the board all the same.
    """
    known = len(board.results(candidate.id))
    if not (new := examples[known:]):
        return False
    try:
        await _add(evaluator, board, candidate, examples, await evaluator.run(candidate, new, "validation", known, tag))
    except BlockCut as cut:
        await evaluator.record(candidate, new, cut.results, "validation", known)
        await _add(evaluator, board, candidate, examples, cut.results)
        raise
    return True


async def _add(
    evaluator: Evaluator, board: Board, candidate: Candidate, examples: Sequence[Example], results: Sequence[Result]
) -> None:
    if not results:
        return
    board.add(candidate, results)
    if candidate.calibrates:
        answers = board.results(candidate.id)
        board.replace(*await calibrated(evaluator, candidate, examples, answers, "validation"))
