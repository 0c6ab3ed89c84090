"""What a race saves, and whether what it keeps is as good as what evaluating all would have kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.replay.play import examples_of, play_search
from experiments.replay.rivals import PoolRandom
from experiments.replay.worlds import World
from optimizer.search.race import BettingRace, Race
from optimizer.search.schedule import Schedule

NEAR = 0.02


@dataclass(frozen=True)
class Raced:
    """One race of random candidates: the share of block evaluations saved, and three shortfalls of the winner.

    `missed`: of the best by the mean over all examples of the race, which evaluating all would have found;
    `lost`: of the best by true mean; `lost_anyway`: that of the winner by evaluating all.
    """

    saved: float
    missed: float
    lost: float
    lost_anyway: float


def raced(world: World, seed: int, race: Race | None, entrants: int, block: int = 10) -> Raced:
    """Race the seed prompt and random candidates of a world in one round; `race` None is the product's careful one."""
    sampler = _Noted(world, seed)
    everything = entrants * world.length
    schedule = Schedule(examples_of(world), race or BettingRace(), block, entrants, entrants)
    played = play_search(world, everything, sampler, schedule, entrants)
    rows = [0, *sampler.rows]
    means, truth = world.scores.mean(axis=1), world.truth
    best = max(rows, key=lambda row: float(means[row]))
    return Raced(
        saved=1 - played.calls / everything,
        missed=float(means[best] - means[played.winner]),
        lost=float(truth[rows].max() - truth[played.winner]),
        lost_anyway=float(truth[rows].max() - truth[best]),
    )


class _Noted(PoolRandom):
    """Random candidates, and which they were."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        self.rows: list[int] = []

    def pick(self, places: Sequence[int]) -> int:
        self.rows.append(super().pick([place for place in places if place]))
        return self.rows[-1]


def summary(found: list[Raced]) -> str:
    """Return a row of a table: what is saved, and how often the winner is within two points of the best."""
    saved = np.mean([one.saved for one in found])
    near = [np.mean([getattr(one, name) <= NEAR + 1e-9 for one in found]) for name in ("missed", "lost", "lost_anyway")]
    shortfall = 100 * np.mean([one.lost for one in found])
    return f"{100 * saved:.1f} % | " + " | ".join(f"{100 * share:.1f} %" for share in near) + f" | {shortfall:.2f}"
