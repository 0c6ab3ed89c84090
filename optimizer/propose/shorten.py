"""The same instruction in fewer words: it costs fewer tokens with every call."""

from __future__ import annotations

from optimizer.propose.base import Proposal, Subject
from optimizer.propose.writer import Writer

ORIGIN = "shorten"
FEWEST, SHARE = 12, 0.6


class Shorten:
    """Has the prompt model say the parent's instruction in six tenths of its words."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions, each shorter than the parent's; none for one of a few words."""
        words = len(subject.instruction.split())
        if words < FEWEST:
            return []
        most, proposals = int(SHARE * words), []
        for number in range(count):
            text = await self._writer.write("shorten", subject, number, words=words, most=most)
            if text and len(text.split()) < words:
                proposals.append(Proposal(text, ORIGIN, subject.lineage[:1]))
        return proposals
