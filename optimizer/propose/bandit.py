"""Which proposers pay: a bandit over them, by Thompson sampling."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Record:
    """What one proposer did: how often it was asked, and what became of its proposals.

    Some were kept, others rejected; of those that were tried some won, which is to beat what they were made from.
    `calls` are those it made of the prompt model, and of the task model on training examples.
    """

    asked: int = 0
    kept: int = 0
    rejected: int = 0
    tried: int = 0
    won: int = 0
    calls: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return asdict(self)


class Bandit:
    """Draws proposers in the order of what a look at their records lets one hope (Thompson 1933; arXiv:1707.02038).

    A win is a proposal that scored more than its parent on the same examples; a loss one that did not, or that was
    rejected. The chance of a win is believed to be uniform before anything was seen, so everybody gets a turn.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.records = {name: Record() for name in names}
        self._first = dict.fromkeys(self.records, (0, 0))

    def saw(self, name: str, won: bool) -> None:
        """Take note of whether something of the first pool beat the seed; no record has it, for nobody was asked."""
        wins, losses = self._first[name]
        self._first[name] = (wins + won, losses + (not won))

    def order(self, names: Iterable[str], rng: random.Random) -> list[str]:
        """Return the names, the one with the best draw first."""
        return sorted(names, key=lambda name: -self._draw(name, rng))

    def _draw(self, name: str, rng: random.Random) -> float:
        record, (won, lost) = self.records[name], self._first[name]
        losses = record.tried - record.won + record.rejected
        return rng.betavariate(1 + record.won + won, 1 + losses + lost)

    def shares(self) -> dict[str, float]:
        """Return each proposer's share of all that was asked, 0.0 before anything was."""
        asked = sum(record.asked for record in self.records.values())
        return {name: record.asked / asked if asked else 0.0 for name, record in self.records.items()}
