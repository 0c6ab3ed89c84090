"""Instructions written after a look at what was tried and how it scored (OPRO, arXiv:2309.03409)."""

from __future__ import annotations

from optimizer.propose.base import Proposal, Subject
from optimizer.propose.grounded import some_examples
from optimizer.propose.writer import WritingProposer

TOLD, SHOWN = 6, 3


class History(WritingProposer):
    """Shows the prompt model past instructions in the order of their scores, the best last."""

    name = "history"

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions; none before two were tried."""
        best = subject.past[:TOLD]
        if len(best) < 2:
            return []
        shown = some_examples(subject.examples, subject.serial, SHOWN)
        return await self.written(subject, count, [tried.id for tried in best], ladder=best[::-1], shown=shown)
