"""Instructions rewritten after failures with feedback (GEPA, arXiv:2507.19457; ProTeGi, arXiv:2305.03495)."""

from __future__ import annotations

from optimizer.propose.base import Proposal, Subject
from optimizer.propose.writer import WritingProposer

SHOWN = 4


class Reflect(WritingProposer):
    """Shows the prompt model what a parent got wrong on training examples, and what the metric said of it."""

    name = "reflect"

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions; none for a parent that got all it was shown right."""
        if not subject.parents or count < 1:
            return []
        attempts = await subject.attempts(subject.parents[0])
        misses = sorted((attempt for attempt in attempts if attempt.score < 1), key=lambda attempt: attempt.score)
        if not misses:
            return []
        return await self.written(subject, count, subject.lineage[:1], misses=misses[:SHOWN])
