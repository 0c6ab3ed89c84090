"""Whole methods that do not fit our loop: each plays a world with its own schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtr

from experiments.replay.play import Played
from experiments.replay.rivals import LEVELS, PoolTPE
from experiments.replay.worlds import World
from optimizer.search.sampler import Asked


@dataclass
class Account:
    """What was paid: the examples that each candidate has seen, in the common order, and the calls left."""

    world: World
    left: int
    seen: dict[int, int] = field(default_factory=dict)

    def extend(self, row: int, upto: int) -> bool:
        """Let a candidate see the first `upto` examples; False where the calls do not suffice."""
        extra = max(0, min(upto, self.world.length) - self.seen.get(row, 0))
        if extra > self.left:
            return False
        self.left -= extra
        self.seen[row] = self.seen.get(row, 0) + extra
        return True

    def mean(self, row: int, upto: int | None = None) -> float:
        """Return a candidate's mean over what it has seen, or over the first `upto` of that."""
        return float(self.world.scores[row, : self.seen[row] if upto is None else upto].mean())

    def ended(self, budget: int) -> Played:
        """Return the best of those that have seen the most."""
        most = max(self.seen.values(), default=0)
        best = max((row for row, seen in self.seen.items() if seen == most), key=self.mean, default=0)
        return Played(best, self.mean(best) if most else 0.0, budget - self.left, len(self.seen))


def halving(world: World, budget: int, seed: int, least: int = 5) -> Played:
    """Sequential halving of random candidates with a fixed budget (Karnin et al. 2013), as TRIPLE-SH has it.

    Every phase has the same share of the calls. As many start as can see `least` examples in the first.
    """
    rng, account = np.random.default_rng([seed, 4]), Account(world, budget)
    start = len(world.candidates)
    while start > 2 and budget / math.ceil(math.log2(start)) / start < least:
        start -= 1
    running = list(rng.permutation(len(world.candidates))[:start])
    phases = math.ceil(math.log2(start))
    upto = 0
    for phase in range(phases):
        # What an early phase could not use, because there are no more examples, is left to the next ones.
        upto += max(1, account.left // (phases - phase) // len(running))
        running = [row for row in running if account.extend(int(row), upto)]
        running.sort(key=lambda row: -account.mean(int(row)))
        running = running[: -(-len(running) // 2)]
    return account.ended(budget)


def mipro(world: World, budget: int, seed: int, batch: int = 35, every: int = 10) -> Played:
    """MIPROv2's schedule (arXiv:2406.11695): TPE on random minibatches, now and then a full evaluation.

    Each trial draws its own minibatch; after `every` trials the best by mean minibatch score that was not yet
    fully evaluated is. Both enter the model as equals. The best full evaluation wins.
    """
    sampler, rng = PoolTPE(world, seed), np.random.default_rng([seed, 5])
    batch = min(batch, world.length)
    full: dict[int, float] = {}
    tried: dict[int, list[float]] = {}
    left, trials = budget, 0

    def tell(row: int, score: float) -> None:
        sampler.tell(Asked(world.candidates[row]), score)

    def evaluate(row: int) -> None:
        nonlocal left
        left -= world.length
        full[row] = float(world.scores[row].mean())
        tell(row, full[row])

    if left >= world.length:
        evaluate(0)
    while left >= batch + world.length:
        row = sampler.pick(range(len(world.candidates)))
        picked = rng.permutation(world.length)[:batch]
        score = float(world.scores[row, picked].mean())
        left, trials = left - batch, trials + 1
        tried.setdefault(row, []).append(score)
        tell(row, score)
        if trials % every == 0:
            promote(tried, full, evaluate)
    if left >= world.length:
        promote(tried, full, evaluate)
    best = max(full, key=lambda row: full[row], default=0)
    return Played(best, full.get(best, 0.0), budget - left, len(tried))


def promote(tried: dict[int, list[float]], full: dict[int, float], evaluate: Callable[[int], None]) -> None:
    """Evaluate in full the best by its mean over minibatches, if there is one that was not."""
    open_rows = [row for row in tried if row not in full]
    if open_rows:
        evaluate(max(open_rows, key=lambda row: float(np.mean(tried[row]))))


def hbbops(world: World, budget: int, seed: int, least: int = 10, chance: float = 0.1) -> Played:
    """HbBoPs-like (arXiv:2412.07820): Hyperband over nested subsets, candidates by a GP's expected improvement.

    The GP is fitted to the largest subset that at least four candidates have seen. Its features are the
    dimensions of a candidate, where the paper learns a kernel over two embeddings; a share of `chance` of the
    candidates is random, and all of the first four.
    """
    rng, account = np.random.default_rng([seed, 6]), Account(world, budget)
    features, rungs = _features(world), max(0, int(math.log2(max(1, world.length / least))))
    for bracket in _brackets(rungs):
        count = math.ceil((rungs + 1) / (bracket + 1) * 2**bracket)
        upto = round(world.length / 2**bracket)
        running: list[int] = []
        for _ in range(count):
            row = _proposed(account, features, rng, chance)
            if row is None or not account.extend(row, upto):
                return account.ended(budget)
            running.append(row)
        for rung in range(bracket - 1, -1, -1):
            running.sort(key=lambda row: -account.mean(row))
            running = running[: max(1, len(running) // 2)]
            if not all(account.extend(row, round(world.length / 2**rung)) for row in running):
                return account.ended(budget)
    return account.ended(budget)


def _brackets(rungs: int) -> Iterator[int]:
    while True:
        yield from range(rungs, -1, -1)


def _features(world: World) -> np.ndarray:
    """Return candidates × one column a level, and the logarithm of the number of demos."""
    columns = [np.log2(1.0 + np.array([[one.count] for one in world.choices])) / 4]
    for name in LEVELS:
        values = [str(getattr(one, name)) for one in world.choices]
        columns.append(np.array([[float(value == level) for level in sorted(set(values))] for value in values]))
    return np.hstack(columns)


def _proposed(account: Account, features: np.ndarray, rng: np.random.Generator, chance: float) -> int | None:
    new = [row for row in range(len(features)) if row not in account.seen]
    if not new:
        return None
    levels = sorted(set(account.seen.values()), reverse=True)
    for upto in levels:
        rows = [row for row, seen in account.seen.items() if seen >= upto]
        if len(rows) >= 4:
            break
    else:
        return int(rng.choice(new))
    if rng.random() < chance:
        return int(rng.choice(new))
    known = np.array([account.mean(row, upto) for row in rows])
    mean, spread = gp(features[rows], known, features[new])
    gain = mean - known.max()
    improvement = gain * ndtr(gain / spread) + spread * np.exp(-((gain / spread) ** 2) / 2) / math.sqrt(2 * math.pi)
    return new[int(np.argmax(improvement))]


def gp(known: np.ndarray, values: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation at `new`: a Matérn 5/2 kernel, chosen by marginal likelihood."""
    centre, scale = values.mean(), max(float(values.std()), 1e-3)
    target = (values - centre) / scale
    apart, across = (np.linalg.norm(one[:, None] - known[None], axis=2) for one in (known, new))
    best: tuple[float, float, float] = (-math.inf, 1.0, 0.1)
    for length in (0.7, 1.4, 2.8, 5.6):
        for noise in (0.01, 0.1, 0.4):
            factor = cho_factor(_matern(apart, length) + noise * np.eye(len(known)), lower=True)
            fit = -0.5 * float(target @ cho_solve(factor, target)) - float(np.log(np.diag(factor[0])).sum())
            best = max(best, (fit, length, noise))
    _, length, noise = best
    factor = cho_factor(_matern(apart, length) + noise * np.eye(len(known)), lower=True)
    cross = _matern(across, length)
    mean = cross @ cho_solve(factor, target)
    variance = 1 - np.einsum("ij,ji->i", cross, cho_solve(factor, cross.T))
    return centre + scale * mean, scale * np.sqrt(np.clip(variance, 1e-6, None))


def _matern(distance: np.ndarray, length: float) -> np.ndarray:
    scaled = math.sqrt(5) * distance / length
    return np.asarray((1 + scaled + scaled**2 / 3) * np.exp(-scaled))
