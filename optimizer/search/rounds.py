"""One round of a search: its entrants race over the examples, block after block."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optimizer.errors import BudgetSpent
from optimizer.evaluate.evaluator import Evaluator, phase_tag
from optimizer.search.blocks import score_up_to
from optimizer.search.board import Board
from optimizer.search.race import survivors
from optimizer.search.sampler import Asked
from optimizer.search.schedule import Schedule
from optimizer.search.trials import TrialLog
from optimizer.types import Example


@dataclass(frozen=True)
class Round:
    """Races entrants, which the board and the log know already, by the schedule's rule."""

    evaluator: Evaluator
    log: TrialLog
    schedule: Schedule
    board: Board

    async def play(self, entrants: Mapping[int, Asked]) -> bool:
        """Give the entrants block after block; returns True when the budget is spent."""
        running, plan = dict(entrants), self.schedule
        for start, block in plan.blocks():
            once = {asked.candidate.id: (number, asked) for number, asked in reversed(running.items())}
            calls = [self._block(number, asked, block, start) for number, asked in reversed(once.values())]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            problems = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
            if fatal := [problem for problem in problems if not isinstance(problem, BudgetSpent)]:
                raise fatal[0]
            if problems:
                self.log.unfinished(running, self.board)
                return True
            candidates = {number: asked.candidate.id for number, asked in running.items()}
            staying, leaving = survivors(plan.race, self.board, candidates, start + len(block), plan.block)
            for number, leader in leaving.items():
                self.log.raced_out(number, self.board, candidates[number], leader)
            running = {number: running[number] for number in staying}
            if not running:
                break
        return False

    async def _block(self, number: int, asked: Asked, block: Sequence[Example], start: int) -> None:
        examples, tag = self.schedule.examples[: start + len(block)], phase_tag("search", number)
        if await score_up_to(self.evaluator, self.board, asked.candidate, examples, tag):
            self.log.progress(number, asked, self.board)
