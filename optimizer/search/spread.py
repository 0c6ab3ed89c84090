"""The first trials: format × demo policy × count × order by design, the more plausible first."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

from optimizer.search.space import Space

Levels = tuple[Any, ...]
# A prior of 0.1 is worth about a third more pairs.
TRUST = 3.0


def spread(space: Space, size: int, seed: int) -> list[dict[str, Any]]:
    """Return `size` first trials which cover format × policy × count × order by design, not by luck.

    Greedy pairwise covering (as in AETG, Cohen et al. 1997, doi:10.1109/32.605761): each next trial has the
    most pairs of levels that no earlier one had, weighted by what the space's prior says of it. So every
    level is soon shown, in the company in which it is the most likely to do well.
    """
    # A predictor may have no examples of its own, and so no demos to spread.
    counts = max((space.counts(pool) for pool in space.pools.values()), key=len)
    levels: list[list[Any]] = [list(space.formats), list(space.demos.policies), counts, list(space.demos.orders)]
    first = (space.demos.policies[0], 0, space.demos.orders[0])
    # Without demos their policy and order mean nothing: one trial a format will do.
    open_trials = [t for t in itertools.product(*levels) if t[2] > 0 or t[1:] == first]
    random.Random(seed).shuffle(open_trials)  # noqa: S311
    weight = {trial: math.exp(TRUST * _belief(space, trial)) for trial in open_trials}
    pairs = {trial: _pairs(trial) for trial in open_trials}
    covered: set[Levels] = set()
    chosen: list[Levels] = []
    while open_trials and len(chosen) < size:
        best = max(open_trials, key=lambda trial: (len(pairs[trial] - covered) * weight[trial], weight[trial]))
        open_trials.remove(best)
        covered |= pairs[best]
        chosen.append(best)
    return [_params(space, trial, number) for number, trial in enumerate(chosen)]


def _belief(space: Space, levels: Levels) -> float:
    layout, policy, count, _ = levels
    return 0.0 if space.prior is None else space.prior.of(layout, count, policy)


def _params(space: Space, levels: Levels, number: int) -> dict[str, Any]:
    layout, policy, count, order = levels
    params: dict[str, Any] = {}
    for name, pool in space.pools.items():
        # A predictor may have fewer examples than the one for which the levels were chosen.
        allowed = max((c for c in space.counts(pool) if c <= count), default=space.counts(pool)[0])
        params |= {f"{name}.format": layout, f"{name}.policy": policy, f"{name}.count": allowed}
        params[f"{name}.order"] = order
        params[f"{name}.instruction"] = number % len(pool.instructions)
        params[f"{name}.set"] = number % max(1, len(pool.sets))
    return params


def _pairs(levels: Levels) -> set[Levels]:
    # A level alone counts too, so that the first trials show every level once.
    return set(itertools.combinations(enumerate(levels), 2)) | set(enumerate(levels))
