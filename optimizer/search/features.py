"""Candidates as numbers: one level a dimension, and how far any two levels of a dimension are apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optimizer.prompt.demos import Embed, text_of
from optimizer.search.space import Params, Pool, Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Levels = NDArray[np.intp]
    Floats = NDArray[np.float64]

KINDS = ("instruction", "format", "count", "policy", "order", "set", "readout", "model")
FARTHEST_COUNT = 2.0


def columns_of(predictor: int) -> slice:
    """Return the columns of a row of levels that are those of a predictor, given its index."""
    return slice(predictor * len(KINDS), (predictor + 1) * len(KINDS))


class Features:
    """The dimensions of a space: `tables[d][i, j]` is the squared distance of levels i and j of dimension d.

    There are eight dimensions a predictor, in the order of KINDS. Two names (formats, policies, orders, readouts,
    models) are 1 apart, two settings of one model half as far; counts differ on a logarithmic scale; instructions and
    demo sets half by their embeddings and half by being two, so that embeddings which say nothing of the score cannot
    hide what was seen. A dimension that means nothing for a candidate lies in the middle of its levels (as in Hutter &
    Osborne 2013, arXiv:1310.5738). All tables are distances of points, so exp(−r · table) is a kernel for any r ≥ 0.
    """

    def __init__(self, space: Space, embed: Embed | None = None) -> None:
        self.space = space
        self.tables: list[Floats] = []
        self._levels: list[tuple[str, list[Any]]] = []
        for name, pool in space.pools.items():
            for kind, levels, points in _dimensions(space, pool, embed):
                self._levels.append((f"{name}.{kind}", levels))
                self.tables.append(squared_distances(points))
        self._beliefs = [_beliefs(space, pool) for pool in space.pools.values()]
        self._indices = [{level: index for index, level in enumerate(levels)} for _, levels in self._levels]

    def encode(self, params: Sequence[Params]) -> Levels:
        """Return the levels of some parameters, shape (len(params), dimensions); what means nothing is level 0."""
        rows = [[self._level(one, dimension) for dimension in range(len(self._levels))] for one in params]
        return np.array(rows, dtype=np.intp).reshape(len(rows), len(self._levels))

    def params(self, row: Sequence[int]) -> dict[str, Any]:
        """Return the parameters of one row of levels; those that mean nothing are left out."""
        values = {name: levels[level] for (name, levels), level in zip(self._levels, row, strict=True)}
        return {name: value for name, value in values.items() if value is not None}

    def beliefs(self, levels: Levels) -> Floats:
        """Return how good the space's prior expects each row of levels to be, shape (rows,)."""
        total = np.zeros(len(levels))
        for index, table in enumerate(self._beliefs):
            _, format_level, count, policy, *_ = levels[:, columns_of(index)].T
            total += table[format_level, count, policy] / len(self._beliefs)
        return total

    def _level(self, params: Params, dimension: int) -> int:
        name, levels = self._levels[dimension]
        predictor, kind = name.rsplit(".", 1)
        value = params.get(name, levels[0])
        if kind in ("policy", "order", "set"):
            shown = params.get(f"{predictor}.count", 0) > 0
            value = value if shown and (kind != "set" or params.get(f"{predictor}.policy") == "static") else None
        if kind == "readout":
            value = params.get(name)
        return self._indices[dimension][value]


def _dimensions(space: Space, pool: Pool, embed: Embed | None) -> list[tuple[str, list[Any], Floats]]:
    """Return each dimension's kind, its levels (None: absent), and a point for each level."""
    counts, demos = space.counts(pool), space.demos
    readouts = pool.readouts if len(pool.readouts) > 1 else ()
    instructions = [proposal.text for proposal in pool.instructions]
    sets = [[f"{text_of(e.inputs)}\n{text_of(e.outputs)}" for e in demos_of] for demos_of in pool.sets]
    scale = FARTHEST_COUNT / np.log2(1 + max(1, *counts))
    return [
        ("instruction", list(range(len(instructions))), _points([[text] for text in instructions], embed)),
        ("format", list(space.formats), _corners(len(space.formats))),
        ("count", list(counts), np.log2(1 + np.array(counts, dtype=float))[:, None] * scale),
        ("policy", [None, *demos.policies], _with_absent(_corners(len(demos.policies)))),
        ("order", [None, *demos.orders], _with_absent(_corners(len(demos.orders)))),
        ("set", [None, *range(len(sets))], _with_absent(_points(sets, embed))),
        ("readout", [None, *readouts], _with_absent(_corners(len(readouts)))),
        ("model", list(space.models) if len(space.models) > 1 else [None], _models(space)),
    ]


def _beliefs(space: Space, pool: Pool) -> Floats:
    """Return the prior's belief for each level of format, count and policy."""
    counts, policies = space.counts(pool), [None, *space.demos.policies]
    table = np.zeros((len(space.formats), len(counts), len(policies)))
    if space.prior is not None:
        for at in np.ndindex(*table.shape):
            table[at] = space.prior.of(space.formats[at[0]], counts[at[1]], policies[at[2]])
    return table


def _corners(levels: int) -> Floats:
    """Return points that are all 1 apart."""
    return np.asarray(np.eye(levels) / np.sqrt(2))


def _models(space: Space) -> Floats:
    """Return a point for each model: half its family's corner, half a corner of its own."""
    families = [space.families.get(name, name) for name in space.models]
    distinct = list(dict.fromkeys(families))
    theirs = _corners(len(distinct))[[distinct.index(name) for name in families]]
    return np.asarray(np.hstack([theirs, _corners(len(families))]) / np.sqrt(2))


def _with_absent(points: Floats) -> Floats:
    middle = points.mean(axis=0, keepdims=True) if len(points) else np.zeros((1, points.shape[1]))
    return np.vstack([middle, points])


def _points(texts: Sequence[Sequence[str]], embed: Embed | None) -> Floats:
    """Return a point for each group of texts: half the mean embedding, half a corner of its own."""
    names = _corners(len(texts))
    if embed is None or len(texts) < 2 or not all(texts):
        return names
    vectors = np.stack([np.asarray(embed(list(group)), dtype=float).mean(axis=0) for group in texts])
    typical = squared_distances(vectors).sum() / (len(texts) * (len(texts) - 1))
    if typical < 1e-9:
        return names
    return np.asarray(np.hstack([vectors / np.sqrt(typical), names]) / np.sqrt(2))


def squared_distances(points: Floats) -> Floats:
    """Return the squared distance of each two points, to three places: no noise of the encoder's arithmetic."""
    # By products: an array of all gaps would take 200 MB for 200 demo sets.
    squares = (points**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0.0).round(3)
    np.fill_diagonal(distances, 0.0)
    return np.asarray(distances)
