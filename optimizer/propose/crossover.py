"""Instructions made of two good ones (EvoPrompt, arXiv:2309.08532; CAPO, arXiv:2504.16005)."""

from __future__ import annotations

from optimizer.propose.base import Proposal, Subject
from optimizer.propose.writer import Writer

ORIGIN = "crossover"


class Crossover:
    """Has the prompt model combine the first two parents whose instructions differ."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions; none without two parents."""
        first = subject.parents[0] if subject.parents else None
        others = [one for one in subject.parents if first and one.prompt.instruction != first.prompt.instruction]
        if first is None or not others:
            return []
        second = others[0]
        proposals = []
        for number in range(count):
            text = await self._writer.write("crossover", subject, number, first=first, second=second)
            if text:
                proposals.append(Proposal(text, ORIGIN, (first.id, second.id)))
        return proposals
