"""Instructions written by the prompt model from the task and a few examples (MIPRO, arXiv:2406.11695)."""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.propose.base import Proposal, Subject
from optimizer.propose.writer import WritingProposer
from optimizer.types import Example

SHOWN = 5
TIPS = (
    "Be short and exact.",
    "Name the possible answers and say when each is right.",
    "Give the steps to follow before answering.",
    "Say what is easily confused, and how to tell it apart.",
    "Say how the answer must look.",
    "Write it for a reader who knows nothing of the subject.",
)


class Grounded(WritingProposer):
    """Asks the prompt model once for each instruction, each time with another tip and other examples."""

    name = "grounded"

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions; a call that fails or says nothing yields none."""
        proposals = []
        for number in range(count):
            turn = subject.serial + number
            shown, tip = some_examples(subject.examples, turn, SHOWN), TIPS[turn % len(TIPS)]
            proposals += await self.written_one(subject, number, subject.lineage, shown=shown, tip=tip)
        return proposals


def some_examples(examples: Sequence[Example], number: int, size: int) -> list[Example]:
    """Return `size` examples, other ones for each number until all were shown."""
    first = number * size % max(1, len(examples))
    return [*examples[first:], *examples[:first]][:size]
