"""The search loop: ask, race in blocks, tell."""

from __future__ import annotations

from dataclasses import dataclass, field

from optimizer.evaluate.evaluator import Evaluator
from optimizer.search.board import Board
from optimizer.search.proposals import Grows, NoProposals
from optimizer.search.rounds import Round
from optimizer.search.sampler import Asked, Sampler
from optimizer.search.schedule import IDLE, Schedule
from optimizer.search.trials import TrialLog
from optimizer.types import Candidate


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
            spent = await Round(self.evaluator, self.log, self.schedule, self.board).play(entrants)
            idle = 0 if self.board.answered > answered else idle + 1
            reference = self.board.winner() if incumbent is None else incumbent
            for index, asked in entrants.items():
                self.sampler.tell(asked, self.log.finish(index, asked, self.board, reference))
            number += len(entrants)
        return self.board.winner()
