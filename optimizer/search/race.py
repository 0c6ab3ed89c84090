"""Who leaves the race: those clearly behind the best, and at each rung the lower half."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from optimizer.evaluate.statistics import standard_error
from optimizer.search.board import Board


class Race(Protocol):
    """A rule for leaving: one method, called after each block."""

    def staying(self, board: Board, running: Sequence[str], seen: int, block: int) -> set[str]:
        """Return which of the `running` candidates go on after `seen` examples in blocks of `block`."""


def survivors(
    race: Race, board: Board, running: Mapping[int, str], seen: int, block: int
) -> tuple[list[int], dict[int, str]]:
    """Return which trials go on, and for each that is behind the leader it is behind.

    `running` gives each trial's candidate. One with too many failures is in neither: it has failed.
    """
    sound = {number: cid for number, cid in running.items() if not board.too_many_failures(cid)}
    staying = race.staying(board, list(dict.fromkeys(sound.values())), seen, block)
    leaving = {number: board.leader(seen) or cid for number, cid in sound.items() if cid not in staying}
    return [number for number in sound if number not in leaving], leaving


@dataclass(frozen=True)
class PairedRace:
    """Paired comparison with the leader, and successive halving (Jamieson & Talwalkar, arXiv:1502.07943).

    A candidate leaves when its paired difference to the leader lies `z` standard errors
    below zero. The variance carries two pseudo-observations, so that a few equal answers are not
    taken for certainty. After 1, 2, 4, 8 … blocks the lower half leaves too: without
    that, a field of equally bad candidates would use up the budget side by side.
    """

    z: float = 1.0

    def staying(self, board: Board, running: Sequence[str], seen: int, block: int) -> set[str]:
        """Return which of the `running` candidates go on."""
        leader = board.leader(seen)
        if leader is None:
            return set(running)
        alive = [cid for cid in running if cid == leader or not self.behind(*board.paired(cid, leader))]
        blocks = -(-seen // block)
        if blocks & (blocks - 1) == 0:
            alive = sorted(alive, key=lambda cid: -board.estimate(cid, leader))[: -(-len(running) // 2)]
        return set(alive)

    def behind(self, mine: Sequence[float], best: Sequence[float]) -> bool:
        """Tell if `mine` is clearly behind `best`; both are scores on the same examples."""
        gaps = np.asarray(mine, dtype=float) - np.asarray(best, dtype=float)
        return len(gaps) > 0 and float(gaps.mean()) + self.z * standard_error(gaps.tolist()) < 0
