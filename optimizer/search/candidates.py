"""Which configurations the sampler weighs against each other: all of them, or some and the kin of the best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from optimizer.search.features import KINDS
from optimizer.search.space import Space

if TYPE_CHECKING:
    from optimizer.search.features import Levels

MOST = 2000
NEAR = 2


def rows_of(space: Space, predictor: str) -> Levels:
    """Return every row of levels (see Features) that a predictor can have, shape (configurations, 6)."""
    pool, demos = space.pools[predictor], space.demos
    counts = space.counts(pool)
    sets = range(1, 1 + len(pool.sets))
    shown = [
        (count, policy, order, place)
        for count, wanted in enumerate(counts)
        if wanted
        for policy, name in enumerate(demos.policies, 1)
        for order in range(1, 1 + len(demos.orders))
        for place in (sets if name == "static" else [0])
    ]
    tails = [(count, 0, 0, 0) for count, wanted in enumerate(counts) if not wanted] + shown
    heads = [(text, layout) for text in range(len(pool.instructions)) for layout in range(len(space.formats))]
    return np.array([head + tail for head in heads for tail in tails], dtype=np.intp)


def candidates(parts: list[Levels], best: Levels, rng: np.random.Generator) -> Levels:
    """Return at most about 2,000 rows of levels: all, or as many random ones as neighbours of the `best`.

    `parts` are the rows of each predictor. A neighbour differs from a good row in one predictor only, and there
    in at most two dimensions.
    """
    if np.prod([float(len(part)) for part in parts]) <= MOST:
        places = np.indices([len(part) for part in parts]).reshape(len(parts), -1)
        return np.hstack([part[place] for part, place in zip(parts, places, strict=True)])
    drawn = [part[rng.integers(len(part), size=MOST // 2)] for part in parts]
    return np.vstack([np.hstack(drawn), _neighbours(parts, best, MOST // 2, rng)])


def _neighbours(parts: list[Levels], best: Levels, size: int, rng: np.random.Generator) -> Levels:
    found = [best[:0]]
    share = size // max(1, len(best) * len(parts))
    for row in best:
        for place, part in enumerate(parts):
            mine = slice(place * len(KINDS), (place + 1) * len(KINDS))
            near = part[(part != row[mine]).sum(axis=1) <= NEAR]
            near = near[rng.permutation(len(near))[:share]]
            changed = np.repeat(row[None, :], len(near), axis=0)
            changed[:, mine] = near
            found.append(changed)
    return np.vstack(found)


def without(rows: Levels, known: Levels) -> Levels:
    """Return the rows that are not among the `known`; all of them, if none else is left."""
    taken = {row.tobytes() for row in np.ascontiguousarray(known)}
    left = rows[[row.tobytes() not in taken for row in np.ascontiguousarray(rows)]]
    return left if len(left) else rows
