"""The search loop: ask, race in blocks, tell."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from optimizer.errors import BudgetSpent
from optimizer.evaluate.evaluator import Evaluator, phase_tag
from optimizer.search.board import Board
from optimizer.search.race import PairedRace
from optimizer.search.sampler import Asked, Sampler
from optimizer.search.trials import TrialLog
from optimizer.types import Example


@dataclass
class Search:
    """Races candidates in rounds until the trials or the budget are used up."""

    sampler: Sampler
    evaluator: Evaluator
    log: TrialLog
    examples: Sequence[Example]
    block: int
    race: PairedRace = field(default_factory=PairedRace)
    board: Board = field(default_factory=Board)

    async def run(self, first: Asked | None, trials: int, round_size: int) -> str | None:
        """Run up to `trials` trials and return the id of the winner, None if nothing could be ranked."""
        number, spent = 0, False
        while number < trials and not spent:
            entrants: dict[int, Asked] = {}
            for place in range(number, min(number + round_size, trials)):
                known = {*self.board.candidates, *(asked.candidate.id for asked in entrants.values())}
                entrants[place] = first if place == 0 and first else self.sampler.ask(known)
                self.log.begin(place, entrants[place])
            incumbent = self.board.winner()
            spent = await self._round(entrants)
            reference = self.board.winner() if incumbent is None else incumbent
            for place, asked in entrants.items():
                self.sampler.tell(asked, self.log.finish(place, asked, self.board, reference))
            number += len(entrants)
        return self.board.winner()

    async def _round(self, entrants: dict[int, Asked]) -> bool:
        """Give the entrants block after block; returns True when the budget is spent."""
        running = dict(entrants)
        for start in range(0, len(self.examples), self.block):
            block = self.examples[start : start + self.block]
            calls = [self._block(number, asked, block, start) for number, asked in running.items()]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            if any(isinstance(outcome, BudgetSpent) for outcome in outcomes):
                self.log.unfinished(running)
                return True
            if problems := [outcome for outcome in outcomes if isinstance(outcome, BaseException)]:
                raise problems[0]
            leader = self.board.leader(start + len(block))
            running = {n: asked for n, asked in running.items() if not self._leaves(n, asked.candidate.id, leader)}
            if not running:
                break
        return False

    async def _block(self, number: int, asked: Asked, block: Sequence[Example], start: int) -> None:
        if len(self.board.results(asked.candidate.id)) > start:
            return  # the same prompt was asked again: its results are known
        tag = phase_tag("search", number)
        self.board.add(asked.candidate, await self.evaluator.run(asked.candidate, block, "validation", start, tag))
        self.log.progress(number, asked, self.board)

    def _leaves(self, number: int, candidate: str, leader: str | None) -> bool:
        if self.board.too_many_failures(candidate):
            return True
        if leader is None or leader == candidate or not self.race.leaves(*self.board.paired(candidate, leader)):
            return False
        self.log.raced_out(number, self.board, candidate, leader)
        return True
