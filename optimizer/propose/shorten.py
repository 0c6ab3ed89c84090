"""The same instruction in fewer words: it costs fewer tokens with every call."""

from __future__ import annotations

from optimizer.propose.base import Proposal, Subject
from optimizer.propose.writer import WritingProposer

FEWEST, SHARE = 12, 0.6


class Shorten(WritingProposer):
    """Has the prompt model say the parent's instruction in six tenths of its words."""

    name = "shorten"

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions, each shorter than the parent's; none for one of a few words."""
        words = len(subject.instruction.split())
        if words < FEWEST:
            return []
        proposals = await self.written(subject, count, subject.lineage[:1], words=words, most=int(SHARE * words))
        return [proposal for proposal in proposals if len(proposal.text.split()) < words]
