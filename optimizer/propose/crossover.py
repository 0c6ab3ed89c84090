"""Instructions made of two good ones (EvoPrompt, arXiv:2309.08532; CAPO, arXiv:2504.16005)."""

from __future__ import annotations

from optimizer.propose.base import Proposal, Subject
from optimizer.propose.writer import WritingProposer


class Crossover(WritingProposer):
    """Has the prompt model combine the first two parents whose instructions differ."""

    name = "crossover"

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions; none without two parents."""
        for second in subject.parents[1:]:
            first = subject.parents[0]
            if second.prompt.instruction != first.prompt.instruction:
                return await self.written(subject, count, (first.id, second.id), first=first, second=second)
        return []
