"""How promising a candidate is, and what it costs to try it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr

from optimizer.prompt.values import render
from optimizer.search.features import KINDS, columns_of
from optimizer.search.space import Pool, Space

if TYPE_CHECKING:
    from optimizer.search.features import Floats, Levels

# In tokens of fresh input: one that a cached prefix holds, and one that is generated. Bytes to a token.
CACHED, GENERATED, BYTES = 0.1, 4.0, 4.0
RIDGE, REFERENCE = 0.1, 1.1
# Milliseconds of a call and tokens of a prompt, about which the logarithms of times are fitted.
TYPICAL, LENGTH = 500.0, 200.0
# The dimensions that change what a call takes beside its texts.
NAMED = ("format", "count", "policy")
# Tokens that a format puts around an answer.
MARKERS = {"turns": 4, "fields": 8, "block": 16, "chat": 48, "json": 32, "xml": 40, "own": 48}


def expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """Return by how much each candidate is expected to beat `best` (Jones et al. 1998, doi:10.1023/A:1008306431147)."""
    ahead = (mean - best) / deviation
    density = np.exp(-0.5 * ahead**2) / np.sqrt(2 * np.pi)
    return np.asarray(deviation * (ahead * ndtr(ahead) + density))


def front_improvement(mean: Floats, deviation: Floats, costs: Floats, known: tuple[Floats, Floats]) -> Floats:
    """Return by how much each candidate is expected to enlarge what the front of score against costs dominates.

    `costs` are tokens, dollars or milliseconds, shape (candidates, 1 or 2); `known` holds the expected scores and the
    costs of what was tried. A candidate's costs are known before it is tried, so the expected hypervolume improvement
    (Emmerich et al. 2006, doi:10.1109/TEVC.2005.859463) is the expected improvement over the front's score at each
    price, from the candidate's own up to a little more than the dearest's, summed over the logarithms of the prices.
    """
    on_front, most = pareto(*known), REFERENCE * np.maximum(costs.max(axis=0), known[1].max(axis=0, initial=0.0))
    scores, prices = known[0][on_front], known[1][on_front]
    steps = [_steps(prices[:, column], costs[:, column], float(most[column])) for column in range(costs.shape[1])]
    (edges, widths), (others, heights) = steps[0], steps[1] if len(steps) > 1 else (np.ones(1), np.ones((len(mean), 1)))
    cheap = prices[:, 0] <= edges[:, None]
    quick = prices[:, -1] <= others[:, None] if len(steps) > 1 else np.ones((1, len(scores)), dtype=bool)
    # What the front scores in each cell of prices, and what is to be gained over that.
    best = np.where(cheap[:, None] & quick, scores, 0.0).max(axis=2, initial=0.0)
    levels, cell = np.unique(best, return_inverse=True)
    gains = np.stack([expected_improvement(mean, deviation, level) for level in levels])
    rows = cell.reshape(best.shape)
    return np.asarray(
        sum(widths[:, n] * np.einsum("cn,nc->c", heights, gains[row]) for n, row in enumerate(rows)), dtype=float
    )


def _steps(prices: Floats, costs: Floats, most: float) -> tuple[Floats, Floats]:
    """Return where the steps of a front begin, by price, and how wide each is from a candidate's own cost on.

    Widths are of logarithms, shape (candidates, steps).
    """
    sides = np.append(np.unique(prices), most)
    lows, highs = np.append(-np.inf, np.log(sides[:-1])), np.log(sides)
    return np.append(0.0, sides[:-1]), np.maximum(0.0, highs - np.maximum(lows, np.log(costs)[:, None]))


def pareto(scores: Floats, costs: Floats) -> list[int]:
    """Return the indices of those that no other beats in score and all costs, the cheapest first.

    `costs` has shape (candidates, costs). Of several that are alike in all the first counts.
    """
    front: list[int] = []
    for index in np.lexsort((-scores, *costs.T[::-1])).tolist():
        if not any(scores[one] >= scores[index] and (costs[one] <= costs[index]).all() for one in front):
            front.append(index)
    return front


class Cost:
    """What one call of a candidate costs, in tokens of fresh input, judged by the length of its texts.

    Instruction and static demos are the same for every input, so the provider's or the engine's prefix cache
    holds them; retrieved demos are paid in full each time. With weights of 1 it is the number of tokens.
    """

    def __init__(self, space: Space, cached: float = CACHED, generated: float = GENERATED) -> None:
        self._space, self._cached, self._generated = space, cached, generated
        self._predictors = [_lengths(pool) for pool in space.pools.values()]

    def of(self, levels: Levels) -> Floats:
        """Return the cost of each row of levels (see Features)."""
        total = np.zeros(len(levels))
        for index, (pool, lengths) in enumerate(zip(self._space.pools.values(), self._predictors, strict=True)):
            total += self._of_predictor(pool, lengths, levels[:, columns_of(index)])
        return total

    def _of_predictor(self, pool: Pool, lengths: tuple[Floats, float, float], levels: Levels) -> Floats:
        instructions, inputs, answer = lengths
        retrieved = np.array([0.0, *(policy != "static" for policy in self._space.demos.policies)])[levels[:, 3]]
        demos = np.array(self._space.counts(pool), dtype=float)[levels[:, 2]] * (inputs + answer)
        frame = np.array([MARKERS[name] for name in self._space.formats], dtype=float)[levels[:, 1]]
        prefix = instructions[levels[:, 0]] + demos * (1 - retrieved)
        return np.asarray(self._cached * prefix + demos * retrieved + inputs + self._generated * (answer + frame))


class Tokens:
    """The tokens of a call, or its price: by the length of its texts, corrected by what calls of other candidates took.

    The correction is a factor for each format, count, policy and model, by ridge regression of the logarithms: a
    tokenizer's words, how much of its frame a format really writes, and a model's prices are not known beforehand.
    A call's time is none of its tokens': `timed`, the length counts with a power that is fitted, too.
    """

    def __init__(
        self, space: Space, sizes: Sequence[int], levels: Levels, measured: Floats, timed: bool = False
    ) -> None:
        """`sizes` are the numbers of levels of each dimension; `measured` the tokens a call of each row of levels."""
        self._cost, self._sizes, self._timed = Cost(space, cached=1.0, generated=1.0), sizes, timed
        seen = self._effects(levels)
        wanted = np.log(measured / self._base(levels))
        self._factors = np.linalg.solve(seen.T @ seen + RIDGE * np.eye(seen.shape[1]), seen.T @ wanted)

    def of(self, levels: Levels) -> Floats:
        """Return the tokens a call of each row of levels."""
        return np.asarray(self._base(levels) * np.exp(self._effects(levels) @ self._factors))

    def _base(self, levels: Levels) -> Floats:
        return np.full(len(levels), TYPICAL) if self._timed else self._cost.of(levels)

    def _effects(self, levels: Levels) -> Floats:
        """Return each row's format, count, policy and model as ones among zeros, after a one for all."""
        kinds = [KINDS[dimension % len(KINDS)] for dimension in range(len(self._sizes))]
        named = [d for d, kind in enumerate(kinds) if kind in NAMED or (kind == "model" and self._sizes[d] > 1)]
        length = [np.log(self._cost.of(levels) / LENGTH)[:, None]] if self._timed else []
        ones = (np.eye(self._sizes[d])[levels[:, d]] for d in named)
        return np.hstack([np.ones((len(levels), 1)), *length, *ones])


def _lengths(pool: Pool) -> tuple[Floats, float, float]:
    """Return the tokens of each instruction, and of a typical example's inputs and outputs."""
    shown = [example for demos in pool.sets for example in demos]
    inputs, outputs = (_tokens([getattr(example, side) for example in shown]) for side in ("inputs", "outputs"))
    return np.array([len(proposal.text.encode()) for proposal in pool.instructions]) / BYTES, inputs, outputs


def _tokens(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean number of tokens of some fields' values."""
    sizes = [sum(len(render(value).encode()) for value in row.values()) / BYTES for row in rows]
    return float(np.mean(sizes)) if sizes else 0.0
