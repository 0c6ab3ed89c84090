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
# The dimensions that change what a call takes beside its texts.
NAMED = ("format", "count", "policy")
# Tokens that a format puts around an answer.
MARKERS = {"turns": 4, "fields": 8, "block": 16, "chat": 48, "json": 32, "xml": 40, "own": 48}


def expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """Return by how much each candidate is expected to beat `best` (Jones et al. 1998, doi:10.1023/A:1008306431147)."""
    ahead = (mean - best) / deviation
    density = np.exp(-0.5 * ahead**2) / np.sqrt(2 * np.pi)
    return np.asarray(deviation * (ahead * ndtr(ahead) + density))


def front_improvement(mean: Floats, deviation: Floats, tokens: Floats, known: tuple[Floats, Floats]) -> Floats:
    """Return by how much each candidate is expected to enlarge what the front of score against tokens dominates.

    `known` holds the expected scores and the tokens of what was tried. A candidate's tokens are known before it is
    tried, so the expected hypervolume improvement (Emmerich et al. 2006, doi:10.1109/TEVC.2005.859463) is the
    expected improvement over the front's score at each price, from the candidate's own up to a little more than the
    dearest's, summed over the logarithm of the price.
    """
    most = REFERENCE * float(max(tokens.max(), known[1].max(initial=0.0)))
    on_front = pareto(*known)
    edges = np.log([*known[1][on_front], most])
    steps = [0.0, *known[0][on_front]]
    total, begin = np.zeros(len(mean)), np.log(tokens)
    for low, high, best in zip([-np.inf, *edges[:-1]], edges, steps, strict=True):
        width = np.maximum(0.0, high - np.maximum(low, begin))
        total += width * expected_improvement(mean, deviation, best)
    return total


def pareto(scores: Floats, tokens: Floats) -> list[int]:
    """Return the indices of those that no other beats in both score and tokens, the cheapest first."""
    front: list[int] = []
    for index in np.lexsort((-scores, tokens)).tolist():
        if not front or scores[index] > scores[front[-1]]:
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
    """

    def __init__(self, space: Space, sizes: Sequence[int], levels: Levels, measured: Floats) -> None:
        """`sizes` are the numbers of levels of each dimension; `measured` the tokens a call of each row of levels."""
        self._cost, self._sizes = Cost(space, cached=1.0, generated=1.0), sizes
        seen = self._effects(levels)
        wanted = np.log(measured / self._cost.of(levels))
        self._factors = np.linalg.solve(seen.T @ seen + RIDGE * np.eye(seen.shape[1]), seen.T @ wanted)

    def of(self, levels: Levels) -> Floats:
        """Return the tokens a call of each row of levels."""
        return np.asarray(self._cost.of(levels) * np.exp(self._effects(levels) @ self._factors))

    def _effects(self, levels: Levels) -> Floats:
        """Return each row's format, count, policy and model as ones among zeros, after a one for all."""
        kinds = [KINDS[dimension % len(KINDS)] for dimension in range(len(self._sizes))]
        named = [d for d, kind in enumerate(kinds) if kind in NAMED or (kind == "model" and self._sizes[d] > 1)]
        return np.hstack([np.ones((len(levels), 1)), *(np.eye(self._sizes[d])[levels[:, d]] for d in named)])


def _lengths(pool: Pool) -> tuple[Floats, float, float]:
    """Return the tokens of each instruction, and of a typical example's inputs and outputs."""
    shown = [example for demos in pool.sets for example in demos]
    inputs, outputs = (_tokens([getattr(example, side) for example in shown]) for side in ("inputs", "outputs"))
    return np.array([len(proposal.text.encode()) for proposal in pool.instructions]) / BYTES, inputs, outputs


def _tokens(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean number of tokens of some fields' values."""
    sizes = [sum(len(render(value).encode()) for value in row.values()) / BYTES for row in rows]
    return float(np.mean(sizes)) if sizes else 0.0
