"""Which configurations the sampler weighs against each other: all of them, or some and the kin of the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from optimizer.search.features import columns_of
from optimizer.search.space import Pool, Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from optimizer.search.features import Levels

MOST = 2000
NEAR = 2


class Rows(Protocol):
    """Rows of levels (see Features) by index: an array, or what is worked out when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: NDArray[np.intp]) -> Levels: ...

    def near(self, row: Levels, most: int) -> NDArray[np.intp]:
        """Return the indices, ascending, of the rows that differ from one in at most so many dimensions."""


class Grid:
    """Every row of levels that a predictor can have: each instruction and style with each tail.

    None is written down: after a thousand trials the pools make millions.
    """

    def __init__(self, texts: int, styles: Levels, tails: Levels) -> None:
        """`styles` are levels of format, readout and model, shape (styles, 3); `tails` the others, shape (tails, 4)."""
        self._texts, self._styles, self._tails = texts, styles, tails

    def __len__(self) -> int:
        return self._texts * len(self._styles) * len(self._tails)

    def __getitem__(self, indices: NDArray[np.intp]) -> Levels:
        heads, tails = np.divmod(indices, len(self._tails))
        texts, styles = np.divmod(heads, len(self._styles))
        style = self._styles[styles]
        return np.concatenate([texts[..., None], style[..., :1], self._tails[tails], style[..., 1:]], axis=-1)

    def near(self, row: Levels, most: int) -> NDArray[np.intp]:
        """Return the indices of the rows near one; see Rows."""
        text, style = (np.arange(self._texts) != row[0]), (self._styles != row[[1, -2, -1]]).sum(axis=1)
        heads, tails = np.add.outer(text.astype(int), style).ravel(), (self._tails != row[2:-2]).sum(axis=1)
        indices = [
            np.add.outer(np.flatnonzero(heads == other) * len(tails), np.flatnonzero(tails <= most - other)).ravel()
            for other in range(most + 1)
        ]
        return np.sort(np.concatenate(indices))

    def all(self) -> Levels:
        """Return all rows as an array, shape (configurations, 8); it may be large."""
        return self[np.arange(len(self))]


def rows_of(space: Space, predictor: str) -> Grid:
    """Return every row of levels (see Features) that a predictor can have."""
    pool, demos = space.pools[predictor], space.demos
    counts = space.counts(pool)
    sets = range(1, 1 + len(pool.sets))
    shown = [
        (count, policy, order, chosen)
        for count, wanted in enumerate(counts)
        if wanted
        for policy, name in enumerate(demos.policies, 1)
        for order, order_name in enumerate(demos.orders, 1)
        if space.canonical(wanted, name, order_name) == (name, order_name)
        for chosen in (sets if name == "static" else [0])
    ]
    tails = [(count, 0, 0, 0) for count, wanted in enumerate(counts) if not wanted] + shown
    styles = [
        (style, readout, model)
        for style, name in enumerate(space.formats)
        for model, model_name in enumerate(space.models)
        for readout in _readout_levels(space, pool, name, model_name)
    ]
    return Grid(len(pool.instructions), np.array(styles, dtype=np.intp), np.array(tails, dtype=np.intp))


def _readout_levels(space: Space, pool: Pool, format_name: str, model: str) -> Sequence[int]:
    """Return the levels of a readout; 0 where there is no choice."""
    readouts = space.readouts(pool, format_name, model)
    return range(1, 1 + len(readouts)) if len(readouts) > 1 else [0]


def candidates(parts: Sequence[Rows], best: Levels, rng: np.random.Generator) -> Levels:
    """Return at most about 2,000 rows of levels: all, or as many random ones as neighbours of the `best`.

    `parts` are the rows of each predictor. A neighbour differs from a good row in one predictor only, and there
    in at most two dimensions.
    """
    if np.prod([float(len(part)) for part in parts]) <= MOST:
        indices = np.indices([len(part) for part in parts]).reshape(len(parts), -1)
        return np.hstack([part[rows] for part, rows in zip(parts, indices, strict=True)])
    drawn = [part[rng.integers(len(part), size=MOST // 2)] for part in parts]
    return np.vstack([np.hstack(drawn), _neighbours(parts, best, MOST // 2, rng)])


def _neighbours(parts: Sequence[Rows], best: Levels, size: int, rng: np.random.Generator) -> Levels:
    neighbours = [best[:0]]
    share = size // max(1, len(best) * len(parts))
    for row in best:
        for index, part in enumerate(parts):
            columns = columns_of(index)
            near = part.near(row[columns], NEAR)
            near = near[rng.permutation(len(near))[:share]]
            changed = np.repeat(row[None, :], len(near), axis=0)
            changed[:, columns] = part[near]
            neighbours.append(changed)
    return np.vstack(neighbours)


def without(rows: Levels, known: Levels) -> Levels:
    """Return the rows that are not among the `known`; all of them, if none else is left."""
    taken = {row.tobytes() for row in np.ascontiguousarray(known)}
    left = rows[[row.tobytes() not in taken for row in np.ascontiguousarray(rows)]]
    return left if len(left) else rows
