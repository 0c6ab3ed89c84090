"""How cells share what a sweep may spend: each has the same part of it from the start, and no cell touches another's.

A part is held for its cell until that is finished; then what it left over can be had by cells that are added later.
It is never handed to a cell that was there before: of two strategies the one that came later would have had more.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from optimizer.config.models import is_local
from optimizer.config.schema import BudgetConfig, RunConfig
from optimizer.errors import ConfigError

LIMITS = ("calls", "tokens", "usd")
Share = Mapping[str, float]


@dataclass(frozen=True)
class Held:
    """What is kept of a sweep's budget for one cell: its share until it is finished, then what it spent."""

    share: Share
    spent: Share | None = None

    def of(self, name: str) -> float:
        """Return how much of a limit is not to be had by others."""
        return (self.share if self.spent is None else self.spent).get(name, 0.0)


def shares(budget: BudgetConfig, cells: Mapping[str, RunConfig], held: Collection[Held] = ()) -> dict[str, Share]:
    """Return for each new cell, by name, its share of each limit; `held` is what the earlier cells have.

    Dollars are for cells whose models may cost some. A cell that is added has at most what the earlier ones had.
    Raises ConfigError where nothing is left for a cell.
    """
    made: dict[str, dict[str, float]] = {name: {} for name in cells}
    for limit in LIMITS:
        total = getattr(budget, limit)
        wanting = [name for name, config in cells.items() if limit != "usd" or may_cost(config)]
        if total is None or not wanting:
            continue
        left = total - sum(one.of(limit) for one in held)
        each = left / len(wanting)
        each = min([each, *(one.share[limit] for one in held if limit in one.share)])
        each = each if limit == "usd" else math.floor(each)
        if each <= 0:
            what = f"budget.{limit}: {total:,g} for the sweep leaves none for {len(wanting)} more cells"
            raise ConfigError(what, "Give more, or take fewer values of a key.")
        made |= {name: {**made[name], limit: each} for name in wanting}
    return dict(made)


def may_cost(config: RunConfig) -> bool:
    """Tell if a run's calls may cost dollars: a model on this machine costs none unless it has a price."""
    return any(not is_local(model.model) or model.price is not None for model in config.models.by_key.values())


def limited(
    config: RunConfig, share: Share, seconds: float | None = None, until: str | None = None
) -> dict[str, object]:
    """Return a run's budget as data, each limit no more than its share; `seconds` and `until` are the sweep's."""
    own = config.budget.model_dump()
    amounts = {**share, **({} if seconds is None else {"seconds": seconds})}
    least = {name: amount if own[name] is None else min(own[name], amount) for name, amount in amounts.items()}
    counts = {name: int(amount) for name, amount in least.items() if name in ("calls", "tokens")}
    return {**own, **least, **counts, "until": until or own["until"]}


def time_share(left: float, waiting: int, parallel: int) -> float:
    """Return the seconds of the next cell, if `left` are left for all `waiting` ones, so many at a time."""
    return left / math.ceil(waiting / parallel)


def spent_of(usages: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the sums of what cells have spent."""
    return {name: sum(usage.get(name, 0.0) for usage in usages) for name in LIMITS}
