"""Whom to build on: candidates that are the best somewhere, not only those with the best mean."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def front_weights(values: Floats, answered: Floats) -> list[int]:
    """Return on how many examples each candidate is among the best, 0 for those that others make superfluous.

    `values` and `answered` (1.0 or 0.0) have shape (candidates, examples). The per-example Pareto front of GEPA
    (arXiv:2507.19457, algorithm 2): a candidate that is the best on one example knows something that the rest does
    not. One whose every example has another best candidate is left out, the lowest mean first.
    """
    if not values.size:
        return [0] * len(values)
    seen = answered > 0
    best = np.where(seen, values, -np.inf).max(axis=0)
    # Where all fail nobody knows anything.
    among = seen & (values >= best) & (best > 0)
    mean = (values * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    holders = among.sum(axis=0)
    for index in np.argsort(mean.round(9), kind="stable"):
        if (holders[among[index]] > 1).all():
            holders = holders - among[index]
            among[index] = False
    return [int(count) for count in among.sum(axis=1)]


def draw_parents(
    weights: Sequence[int], count: int, rng: random.Random, alike: Callable[[int, int], Any] = lambda one, two: False
) -> list[int]:
    """Return up to `count` indices drawn by weight, the first drawn first; none `alike` to one before it."""
    chosen: list[int] = []
    left = [index for index, weight in enumerate(weights) if weight > 0]
    while left and len(chosen) < count:
        chosen.append(rng.choices(left, [weights[index] for index in left])[0])
        left = [index for index in left if index != chosen[-1] and not alike(index, chosen[-1])]
    return chosen
