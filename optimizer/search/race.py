"""Who leaves the race: a careful rule with a bound on its error, and a quick one for a small budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from optimizer.evaluate.betting import log_wealth
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

    `running` gives each trial's candidate. One with too many failures is in neither: it has failed. Ensembles race
    among themselves, and so do prompts alone: of these the best are wanted for the next ensemble, however good the last
    one is. Who is in an ensemble that goes on is asked anyway: it goes on, and counts in nobody's share.
    """
    sound = {number: cid for number, cid in running.items() if not board.too_many_failures(cid)}
    racing = list(dict.fromkeys(sound.values()))
    ensembles = [cid for cid in racing if board.is_ensemble(cid)]
    staying = race.staying(board, ensembles, seen, block)
    staying |= {member for cid in staying for member in board.candidates[cid].parents}
    alone = [cid for cid in racing if not board.is_ensemble(cid) and cid not in staying]
    staying |= race.staying(board, alone, seen, block)
    leaders = {kind: board.leader(seen, kind) for kind in (True, False)}
    leaving = {number: leaders[board.is_ensemble(cid)] or cid for number, cid in sound.items() if cid not in staying}
    if board.races_for_the_front and alone:
        field = _Field(board, alone, seen)
        own = {cid: field.against(row)[0] for row, cid in enumerate(alone)}
        leaving = {number: own.get(sound[number]) or leader for number, leader in leaving.items()}
    return [number for number in sound if number not in leaving], leaving


@dataclass(frozen=True)
class BettingRace:
    """Betting against the leader, and rungs (Waudby-Smith & Ramdas, arXiv:2010.09686; Jamieson, arXiv:1502.07943).

    Somebody bets on the leader against each candidate, example by example: a stake λ multiplies the wealth by
    1 − λ × (candidate's score − leader's). If the candidate is as good as that rival, the expected wealth never
    grows, so the chance that it ever reaches 1 / `error` is at most `error`, however often one looks and with as
    few examples as there are (Ville's inequality); at that wealth the candidate leaves. The wealth is the mean
    over `STAKES`, as the best stake is not known. By the union bound, the best of K entrants loses to any of them
    in at most (K − 1) × `error` of all races; `testing.races` measures how much rarer that is.
    Where labels come in turn, the bound is that of whole turns: over one, the product of each label's expected
    factors is no greater than the same power of their mean. Influences on a statistic are scaled to [−1, 1] by the
    largest that was seen: for them the bound holds but nearly.

    That alone would carry a field of near-equals side by side through every example. So after 1, 2, 4, 8 …
    blocks at most the share `keep` of those running goes on, by their paired difference to the leader. This part
    has no guarantee: it is a budget, and what it costs is simulated (tests/testing/test_races.py).
    """

    error: float = 0.1
    keep: float = 2 / 3

    def __post_init__(self) -> None:
        if not 0 < self.error < 1 or not 0 < self.keep <= 1:
            raise ValueError(f"error in (0, 1) and keep in (0, 1] are needed, not {self.error} and {self.keep}")

    def staying(self, board: Board, running: Sequence[str], seen: int, block: int) -> set[str]:
        """Return which of the `running` candidates go on."""
        standing = Standing.of(board, running, seen)
        if standing is None:
            return set(running)
        scale = max(1.0, float(np.abs(standing.gaps).max(initial=0.0)))
        beaten = log_wealth(standing.gaps / scale) >= -math.log(self.error)
        return standing.best(~beaten, self.keep if is_rung(seen, block) else 1.0)


@dataclass(frozen=True)
class PairedRace:
    """The quick one: a paired difference to the leader, and successive halving (Jamieson, arXiv:1502.07943).

    A candidate leaves when its paired difference to the leader lies `z` standard errors below zero: of the first
    five examples it may lose one. After 1, 2, 4, 8 … blocks at most the share `keep` of those running goes on.
    There is no guarantee. A good candidate is often lost, but what it would have cost to keep it shows two or three
    others. On replays with 200 and 625 calls it ends where the careful one ends (experiments/replay/TRIED.md).
    """

    z: float = 1.5
    keep: float = 1 / 2

    def staying(self, board: Board, running: Sequence[str], seen: int, block: int) -> set[str]:
        """Return which of the `running` candidates go on."""
        standing = Standing.of(board, running, seen)
        if standing is None:
            return set(running)
        errors = [standard_error(row[both > 0]) for row, both in zip(standing.gaps, standing.shared, strict=True)]
        return standing.best(
            standing.ahead + self.z * np.array(errors) >= 0, self.keep if is_rung(seen, block) else 1.0
        )


@dataclass(frozen=True)
class Standing:
    """Where the `running` candidates stand: score − leader's score, candidate × example; 0 where one did not answer.

    `leader` is the best of all. In a race for the front each has a leader of its own, of those that cost no more in
    anything the one that is the most ahead of it. Who has none is `alone`, and ahead of everybody.
    """

    running: Sequence[str]
    leader: str
    gaps: np.ndarray
    shared: np.ndarray
    alone: np.ndarray | None = None

    @classmethod
    def of(cls, board: Board, running: Sequence[str], seen: int) -> Standing | None:
        """Return how the race stands after `seen` examples; None where nobody can lead.

        The `running` are all ensembles, or all prompts alone.
        """
        leader = board.leader(seen, board.is_ensemble(running[0])) if running else None
        if leader is None:
            return None
        if board.races_for_the_front:
            return cls._for_the_front(board, running, seen, leader)
        values, answered = board.table([leader, *running], seen)
        shared = answered[1:] * answered[0]
        return cls(running, leader, (values[1:] - values[0]) * shared, shared)

    @classmethod
    def _for_the_front(cls, board: Board, running: Sequence[str], seen: int, leader: str) -> Standing:
        """Return the standing in which everybody has a leader among those that cost no more, if there are any."""
        field = _Field(board, running, seen)
        rows = list(map(field.against, range(len(running))))
        gaps, shared = (np.array([row[side] for row in rows]) for side in (1, 2))
        return cls(running, leader, gaps, shared, np.array([rival is None for rival, *_ in rows]))

    @property
    def ahead(self) -> np.ndarray:
        """Each candidate's mean paired difference to its leader; endless without one."""
        ahead = self.gaps.sum(axis=1) / np.maximum(self.shared.sum(axis=1), 1.0)
        return np.asarray(ahead) if self.alone is None else np.where(self.alone, math.inf, ahead)

    def best(self, alive: np.ndarray, keep: float) -> set[str]:
        """Return those `alive`, at most the share `keep` of the running, the leader first, and who has none."""
        ahead = np.where([cid == self.leader for cid in self.running], math.inf, self.ahead)
        order = [index for index in np.argsort(-ahead, kind="stable") if alive[index]]
        most = max(math.ceil(keep * len(self.running)), int(np.isinf(ahead).sum()))
        return {self.running[index] for index in order[:most]}


class _Field:
    """Whoever has seen as many examples as the `running`, who come first: what each scored and costs."""

    def __init__(self, board: Board, running: Sequence[str], seen: int) -> None:
        ranked = [cid for cid in board.ranked() if len(board.results(cid)) >= seen and not board.is_ensemble(cid)]
        self._all = list(dict.fromkeys([*running, *ranked]))
        self._values, self._answered = board.table(self._all, seen)
        least, most = zip(*map(board.prices, self._all), strict=True)
        self._least, self._most = np.array(least), np.array(most)

    def against(self, row: int) -> tuple[str | None, np.ndarray, np.ndarray]:
        """Return whom one of the running races against, the gaps to it by example, and which both have answered.

        Of those that cost no more in anything it is the one that is the most ahead; None where there are none.
        """
        rivals = (self._least <= self._most[row]).all(axis=1)
        rivals[row] = False
        nothing = np.zeros(self._values.shape[1])
        if not rivals.any():
            return None, nothing, nothing
        both = self._answered[rivals] * self._answered[row]
        gaps = (self._values[row] - self._values[rivals]) * both
        best = int(np.argmin(gaps.sum(axis=1) / np.maximum(both.sum(axis=1), 1.0)))
        return self._all[int(np.flatnonzero(rivals)[best])], gaps[best], both[best]


def is_rung(seen: int, block: int) -> bool:
    """Tell if 1, 2, 4, 8 … blocks were seen."""
    blocks = -(-seen // block)
    return blocks & (blocks - 1) == 0
