"""Instructions written after a look at what was tried and how it scored (OPRO, arXiv:2309.03409)."""

from __future__ import annotations

from optimizer.propose.base import Proposal, Subject
from optimizer.propose.grounded import some_examples
from optimizer.propose.writer import Writer

ORIGIN = "history"
TOLD, SHOWN = 6, 3


class History:
    """Shows the prompt model past instructions in the order of their scores, the best last."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions; none before two were tried."""
        ladder = list(subject.past[:TOLD])[::-1]
        if len(ladder) < 2:
            return []
        lineage = tuple(one.id for one in reversed(ladder))
        shown, proposals = some_examples(subject.examples, subject.serial, SHOWN), []
        for number in range(count):
            text = await self._writer.write("history", subject, number, ladder=ladder, shown=shown)
            if text:
                proposals.append(Proposal(text, ORIGIN, lineage))
        return proposals
