"""The search loop: ask, race in blocks, tell."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from optimizer.errors import BudgetSpent
from optimizer.evaluate.evaluator import Evaluator, phase_tag
from optimizer.search.blocks import score_up_to
from optimizer.search.board import Board
from optimizer.search.proposals import Grows, NoProposals
from optimizer.search.race import survivors
from optimizer.search.sampler import Asked, Sampler
from optimizer.search.schedule import IDLE, Schedule
from optimizer.search.trials import TrialLog
from optimizer.types import Candidate, Example


@dataclass
class Search:
    """Races candidates in rounds until the trials, the budget or the space is used up."""

    sampler: Sampler
    evaluator: Evaluator
    log: TrialLog
    schedule: Schedule
    board: Board = field(default_factory=Board)
    proposals: Grows = field(default_factory=NoProposals)

    async def run(self, seed: Candidate, trials: int) -> str | None:
        """Run up to `trials` trials, the seed first; return the winner's id, if any could be ranked."""
        number, idle, spent = 0, 0, False
        for size in self.schedule.rounds():
            if number >= trials or idle == IDLE or spent:
                break
            await self.proposals.grow(self.sampler, self.board)
            entrants: dict[int, Asked] = {}
            for index in range(number, min(number + size, trials)):
                entrants[index] = Asked(seed) if index == 0 else self.sampler.ask(set(self.board.candidates))
                self.board.enter(entrants[index].candidate)
                self.log.begin(index, entrants[index])
            incumbent, answered = self.board.winner(), self.board.answered
            spent = await self._round(entrants)
            idle = 0 if self.board.answered > answered else idle + 1
            reference = self.board.winner() if incumbent is None else incumbent
            for index, asked in entrants.items():
                self.sampler.tell(asked, self.log.finish(index, asked, self.board, reference))
            number += len(entrants)
        return self.board.winner()

    async def _round(self, entrants: dict[int, Asked]) -> bool:
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
