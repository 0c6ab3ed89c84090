"""How promising a candidate is, and what it costs to try it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr

from optimizer.prompt.program import MARKERS
from optimizer.prompt.values import render
from optimizer.search.features import KINDS
from optimizer.search.space import Pool, Space

if TYPE_CHECKING:
    from optimizer.search.features import Floats, Levels
    from optimizer.types import Example

# In tokens of fresh input: one that a cached prefix holds, and one that is generated. Bytes to a token.
CACHED, GENERATED, BYTES = 0.1, 4.0, 4.0


def expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """Return by how much each candidate is expected to beat `best` (Jones et al. 1998, doi:10.1023/A:1008306431147)."""
    ahead = (mean - best) / deviation
    density = np.exp(-0.5 * ahead**2) / np.sqrt(2 * np.pi)
    return np.asarray(deviation * (ahead * ndtr(ahead) + density))


class Cost:
    """What one call of a candidate costs, in tokens of fresh input, judged by the length of its texts.

    Instruction and static demos are the same for every input, so the provider's or the engine's prefix cache
    holds them; retrieved demos are paid in full each time.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._predictors = [_lengths(pool) for pool in space.pools.values()]

    def of(self, levels: Levels) -> Floats:
        """Return the cost of each row of levels (see Features)."""
        total = np.zeros(len(levels))
        for place, (pool, lengths) in enumerate(zip(self._space.pools.values(), self._predictors, strict=True)):
            mine = levels[:, place * len(KINDS) : (place + 1) * len(KINDS)]
            total += self._one(pool, lengths, mine)
        return total

    def _one(self, pool: Pool, lengths: tuple[Floats, float, float], levels: Levels) -> Floats:
        instructions, given, answer = lengths
        retrieved = np.array([0.0, *(policy != "static" for policy in self._space.demos.policies)])[levels[:, 3]]
        demos = np.array(self._space.counts(pool), dtype=float)[levels[:, 2]] * (given + answer)
        frame = np.array([MARKERS[layout] for layout in self._space.formats], dtype=float)[levels[:, 1]]
        prefix = instructions[levels[:, 0]] + demos * (1 - retrieved)
        return np.asarray(CACHED * prefix + demos * retrieved + given + GENERATED * (answer + frame))


def _lengths(pool: Pool) -> tuple[Floats, float, float]:
    """Return the tokens of each instruction, and of a typical example's inputs and outputs."""
    shown = [example for demos in pool.sets for example in demos]
    given, answer = (
        float(np.mean([_tokens(e, side) for e in shown])) if shown else 0.0 for side in ("inputs", "outputs")
    )
    texts = [proposal.text for proposal in pool.instructions]
    return np.array([len(text.encode()) for text in texts]) / BYTES, given, answer


def _tokens(example: Example, side: str) -> float:
    values: Sequence[Any] = list(getattr(example, side).values())
    return sum(len(render(value).encode()) for value in values) / BYTES
