"""What a proposer of instructions is: one method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task
from optimizer.types import Example


@dataclass(frozen=True)
class Subject:
    """The predictor to propose for: its seed instruction, its outputs, training examples to look at."""

    task: Task
    predictor: str
    instruction: str
    outputs: dict[str, FieldSpec]
    examples: Sequence[Example]


@dataclass(frozen=True, slots=True)
class Proposal:
    """One instruction and the name of the proposer that wrote it."""

    text: str
    origin: str


class Proposer(Protocol):
    """Writes instructions for one predictor."""

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions, most promising first."""


def distinct(proposals: Sequence[Proposal], limit: int) -> tuple[Proposal, ...]:
    """Return the first `limit` proposals that differ in more than spaces and case."""
    unique = {" ".join(p.text.split()).casefold(): p for p in reversed(proposals)}
    kept = [p for p in proposals if unique.get(" ".join(p.text.split()).casefold()) is p]
    return tuple(kept[:limit])
