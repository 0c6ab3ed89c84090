"""What our search is compared with, through its own seams: samplers over a world's pool, and race rules."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from optuna.trial import FixedTrial
from scipy.special import stdtr
from scipy.stats import wilcoxon

from experiments.replay.worlds import World
from optimizer.config.schema import SearchConfig
from optimizer.search.board import Board
from optimizer.search.sampler import Asked
from optimizer.search.schedule import FIRST
from optimizer.search.spread import spread

LEVELS = ("instruction", "format", "policy", "count", "order", "set")


class PoolRandom:
    """Candidates of a world in random order, none twice while there are others."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.rng = world, np.random.default_rng([seed, 3])

    def ask(self, known: Collection[str]) -> Asked:
        """Return one that is not `known`."""
        new = [place for cid, place in self.world.places.items() if cid not in known]
        return Asked(self.world.candidates[self.pick(new or list(self.world.places.values()))])

    def pick(self, places: Sequence[int]) -> int:
        """Return one of the places."""
        return int(self.rng.choice(np.asarray(places)))

    def tell(self, asked: Asked, value: Any) -> None:
        """Learn nothing."""


class Planned(PoolRandom):
    """Our first round, then another sampler: tells what our model is worth, apart from what one tries by hand."""

    def __init__(self, world: World, seed: int, then: type[PoolRandom]) -> None:
        super().__init__(world, seed)
        self.then = then(world, seed)
        space = replace(world.space, prior=SearchConfig().prior)
        self._planned = [space.suggest(FixedTrial(params)) for params in spread(space, FIRST - 1, seed)]

    def ask(self, known: Collection[str]) -> Asked:
        """Return the next of the first round, then what the other sampler asks for."""
        while self._planned:
            planned = self._planned.pop(0)
            if planned.id not in known:
                return Asked(planned)
        return self.then.ask(known)

    def tell(self, asked: Asked, value: Any) -> None:
        """Let the other sampler learn of the first round, too."""
        self.then.tell(asked, value)


class PoolTPE(PoolRandom):
    """Multivariate TPE over a world's pool: of 24 draws from the good, the likeliest to be good and not bad.

    Bergstra et al. 2011; kernels, split and number of draws as in Optuna's TPESampler (MIPROv2's sampler).
    """

    def __init__(self, world: World, seed: int, startup: int = 10, draws: int = 24) -> None:
        super().__init__(world, seed)
        self.startup, self.draws = startup, draws
        self.codes = codes(world)
        self.seen: list[tuple[int, float]] = []

    def tell(self, asked: Asked, value: Any) -> None:
        """Learn a candidate's estimated score; a repeated one counts once more."""
        known = getattr(value, "value", value)
        if known is not None:
            self.seen.append((self.world.places[asked.candidate.id], float(known)))

    def pick(self, places: Sequence[int]) -> int:
        """Return the place with the best ratio of the two densities among draws from the first."""
        if len(self.seen) < self.startup:
            return super().pick(places)
        ranked = sorted(self.seen, key=lambda pair: -pair[1])
        cut = min(math.ceil(0.1 * len(ranked)), 25)
        chosen = np.asarray(places)
        good, bad = (self._density(chosen, [row for row, _ in part]) for part in (ranked[:cut], ranked[cut:]))
        drawn = self.rng.choice(len(chosen), size=self.draws, p=good / good.sum())
        return int(chosen[drawn[np.argmax(good[drawn] / bad[drawn])]])

    def _density(self, places: np.ndarray, rows: Sequence[int]) -> np.ndarray:
        """Return the mixture of one kernel an observation and the uniform prior, for each place."""
        theirs = self.codes[list(rows)]
        total = np.ones((len(places), len(rows)))
        prior = 1.0
        for column in range(self.codes.shape[1]):
            levels = int(self.codes[:, column].max()) + 1
            slack = 1.0 / (len(rows) + 1)
            same = self.codes[places, column][:, None] == theirs[:, column][None, :]
            total *= np.where(same, 1 + slack, slack) / (1 + levels * slack)
            prior /= levels
        return np.asarray((total.sum(axis=1) + prior) / (len(rows) + 1))


def codes(world: World) -> np.ndarray:
    """Return candidates × dimensions, each level as a whole number."""
    columns = [np.unique([str(getattr(one, name)) for one in world.choices], return_inverse=True)[1] for name in LEVELS]
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class Uniform:
    """Nobody leaves: every candidate sees every example."""

    def staying(self, board: Board, running: Sequence[str], seen: int, block: int) -> set[str]:
        """Return all of them."""
        return set(running)


@dataclass(frozen=True)
class Halving:
    """Successive halving (Jamieson & Talwalkar, arXiv:1502.07943): after 1, 2, 4 … blocks the worse half leaves."""

    def staying(self, board: Board, running: Sequence[str], seen: int, block: int) -> set[str]:
        """Return the better half at a rung, else all."""
        blocks = -(-seen // block)
        if blocks & (blocks - 1):
            return set(running)
        means = {cid: float(np.mean(board.scores(cid) or [0.0])) for cid in running}
        return set(sorted(running, key=lambda cid: -means[cid])[: -(-len(running) // 2)])


@dataclass(frozen=True)
class PairedT:
    """CAPO's race (arXiv:2504.16005): out when `rivals` others are better by a paired t-test at level `alpha`.

    Among the others are those that ran before and have seen as much.
    """

    alpha: float = 0.2
    rivals: int = 1

    def staying(self, board: Board, running: Sequence[str], seen: int, block: int) -> set[str]:
        """Return those that too few others beat."""
        others = [cid for cid in board.candidates if len(board.results(cid)) >= seen]
        return {cid for cid in running if sum(self.beaten(board, cid, other) for other in others) < self.rivals}

    def beaten(self, board: Board, mine: str, other: str) -> bool:
        """Tell if the other is significantly better, without a correction for looking often."""
        if mine == other:
            return False
        ours, theirs = board.paired(mine, other)
        gaps = np.asarray(theirs) - np.asarray(ours)
        if len(gaps) < 2 or gaps.mean() <= 0:
            return False
        spread = float(gaps.std(ddof=1))
        if spread == 0:
            return True
        return float(stdtr(len(gaps) - 1, -gaps.mean() / spread * math.sqrt(len(gaps)))) < self.alpha


@dataclass(frozen=True)
class WilcoxonPrune:
    """Optuna's WilcoxonPruner: out when a signed-rank test against the best so far says worse at `level`.

    As there: never when its own mean is the better one, and not in the first `startup` examples.
    """

    level: float = 0.1
    startup: int = 2

    def staying(self, board: Board, running: Sequence[str], seen: int, block: int) -> set[str]:
        """Return those that the test leaves."""
        best = board.leader(seen)
        return {cid for cid in running if best is None or cid == best or not self.worse(*board.paired(cid, best))}

    def worse(self, ours: Sequence[float], theirs: Sequence[float]) -> bool:
        """Tell if the first scores are significantly below the second."""
        gaps = np.asarray(ours) - np.asarray(theirs)
        if len(gaps) < max(2, self.startup) or gaps.mean() >= 0:
            return False
        return float(wilcoxon(gaps, alternative="less", zero_method="zsplit", method="approx").pvalue) < self.level
