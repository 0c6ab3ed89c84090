"""Instructions found from examples alone, without a look at the present one (APE, arXiv:2211.01910)."""

from __future__ import annotations

import random

from optimizer.propose.base import Proposal, Subject
from optimizer.propose.writer import WritingProposer

SHOWN = 8


class Induce(WritingProposer):
    """Asks the prompt model which instruction leads from some inputs to their outputs; other ones each time.

    What it writes owes nothing to the seed, so a bad one does not mislead it. A small model guesses, and seldom
    guesses the same: it is the race that finds the right guess.
    """

    name = "induce"

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions, made from nobody; none where there are no examples."""
        proposals = []
        for number in range(count if subject.examples else 0):
            dice = random.Random(f"{subject.serial} {number}")  # noqa: S311 - a replayable draw
            shown = dice.sample(list(subject.examples), min(SHOWN, len(subject.examples)))
            proposals += await self.written_one(subject, number, (), shown=shown)
        return proposals
