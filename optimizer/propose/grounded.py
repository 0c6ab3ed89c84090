"""Instructions written by the prompt model from the task and a few examples (MIPRO, arXiv:2406.11695)."""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.propose.base import Proposal, Subject
from optimizer.propose.writer import Writer
from optimizer.types import Example

ORIGIN = "grounded"
SHOWN = 5
TIPS = (
    "Be short and exact.",
    "Name the possible answers and say when each is right.",
    "Give the steps to follow before answering.",
    "Say what is easily confused, and how to tell it apart.",
    "Say how the answer must look.",
    "Write it for a reader who knows nothing of the subject.",
)


class Grounded:
    """Asks the prompt model once for each instruction, each time with another tip and other examples."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions; a call that fails or says nothing yields none."""
        proposals = []
        for number in range(subject.serial, subject.serial + count):
            shown, tip = some_examples(subject.examples, number, SHOWN), TIPS[number % len(TIPS)]
            text = await self._writer.write("grounded", subject, number - subject.serial, shown=shown, tip=tip)
            if text:
                proposals.append(Proposal(text, ORIGIN, subject.lineage))
        return proposals


def some_examples(examples: Sequence[Example], number: int, size: int) -> list[Example]:
    """Return `size` examples, other ones for each number until all were shown."""
    first = number * size % max(1, len(examples))
    return [*examples[first:], *examples[:first]][:size]
