"""Instructions rewritten after failures with feedback (GEPA, arXiv:2507.19457; ProTeGi, arXiv:2305.03495)."""

from __future__ import annotations

from optimizer.propose.base import Proposal, Subject
from optimizer.propose.writer import Writer

ORIGIN = "reflect"
SHOWN = 4


class Reflect:
    """Shows the prompt model what a parent got wrong on training examples, and what the metric said of it."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions; none for a parent that got all it was shown right."""
        if not subject.parents or count < 1:
            return []
        attempts = await subject.attempts(subject.parents[0])
        misses = sorted((one for one in attempts if one.score < 1), key=lambda one: one.score)[:SHOWN]
        if not misses:
            return []
        texts = [await self._writer.write("reflect", subject, number, misses=misses) for number in range(count)]
        return [Proposal(text, ORIGIN, subject.lineage[:1]) for text in texts if text]
