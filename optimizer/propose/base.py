"""What a proposer is: one async method, from what it may see to instructions or demo sets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from optimizer.task.schema import FieldSpec
from optimizer.types import Example, Prompt


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a past candidate made of one training example: its answer, the score in [0, 1], the metric's words."""

    example: Example
    answer: Mapping[str, Any]
    score: float
    feedback: str


@dataclass(frozen=True, slots=True)
class Tried:
    """A past candidate, as far as it concerns one predictor; `score` lies in [0, 1]."""

    id: str
    prompt: Prompt
    score: float


Attempts = Callable[[Tried], Awaitable[Sequence[Attempt]]]


async def no_attempts(parent: Tried) -> Sequence[Attempt]:
    """Know nothing of what a past candidate answered."""
    return ()


@dataclass(frozen=True)
class Subject:
    """All that a proposer may see of a run, for one predictor.

    `instruction` is what to start from: the first parent's, or the seed's. `examples` are training examples.
    `past` holds what was tried, each instruction once, the best first; `parents` are those chosen to build on, none
    for a fresh start. `attempts` runs a past candidate on a few training examples, which is paid from the budget; it
    does so once, and knows nothing of a second one. `demos` is the size of a demo set, 0 where none is wanted. `serial`
    numbers the proposals of a run: what is drawn by chance is seeded with it. `fields` tell what goes in and comes out.
    `asked` is where requests to the prompt model are noted.
    """

    description: str
    predictor: str
    instruction: str
    outputs: Mapping[str, FieldSpec]
    examples: Sequence[Example]
    rewards: str = ""
    past: Sequence[Tried] = ()
    parents: Sequence[Tried] = ()
    attempts: Attempts = no_attempts
    demos: int = 0
    serial: int = 0
    fields: Sequence[str] = ()
    asked: list[str] = field(default_factory=list, compare=False)

    @property
    def lineage(self) -> tuple[str, ...]:
        """The parents' ids, as a proposal names them."""
        return tuple(parent.id for parent in self.parents)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One instruction, or with `demos` a demo set; who wrote it, and the ids of the candidates it was made from."""

    text: str
    origin: str
    parents: tuple[str, ...] = ()
    demos: tuple[Example, ...] = ()


class Proposer(Protocol):
    """Writes instructions or demo sets for one predictor."""

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` proposals, most promising first; none where there is nothing to go by."""


def distinct(proposals: Sequence[Proposal], limit: int) -> tuple[Proposal, ...]:
    """Return the first `limit` proposals that differ in more than spaces and case."""
    unique = {folded(p.text): p for p in reversed(proposals)}
    different = [p for p in proposals if unique.get(folded(p.text)) is p]
    return tuple(different[:limit])


def folded(text: str) -> str:
    """Return a text without what does not tell two instructions apart: case, and how words are spaced."""
    return " ".join(text.split()).casefold()
