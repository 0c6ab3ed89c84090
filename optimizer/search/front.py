"""Score against tokens or dollars: which candidates no other beats in both, and which of them is to be the winner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optimizer.config.schema import Cost, SearchConfig
from optimizer.search.acquisition import pareto
from optimizer.search.board import Board


@dataclass(frozen=True)
class Point:
    """A candidate: its shrunken estimate on validation, what a call costs, and the examples that it saw.

    `usd_per_call` is None where tokens are what the search compares.
    """

    candidate_id: str
    estimate: float
    tokens_per_call: float
    seen: int
    usd_per_call: float | None = None

    @property
    def cost(self) -> float:
        """What a call costs, in what the search compares."""
        return self.tokens_per_call if self.usd_per_call is None else self.usd_per_call

    def to_json(self) -> dict[str, Any]:
        """Return it as result.json has it."""
        data = {name: getattr(self, name) for name in ("candidate_id", "estimate", "tokens_per_call", "seen")}
        return data if self.usd_per_call is None else {**data, "usd_per_call": self.usd_per_call}

    def price(self) -> str:
        """Return what a call costs, in words."""
        if self.usd_per_call is None:
            return f"{self.tokens_per_call:.0f}"
        return f"${1000 * self.usd_per_call:.3g}"


def points(board: Board, cost: Cost) -> list[Point]:
    """Return every candidate that can be ranked and whose cost is known, in the order in which they came."""
    return [
        Point(
            cid,
            estimate,
            board.costs[cid] if cost == "tokens" else board.tokens_per_call(cid) or 0.0,
            len(board.results(cid)),
            board.usd_per_call(cid) if cost == "usd" else None,
        )
        for cid, estimate in board.estimates().items()
        if cid in board.costs
    ]


def front(candidates: list[Point]) -> list[Point]:
    """Return the points that no other beats in both estimate and cost, the cheapest first."""
    scores, costs = (np.array([getattr(one, name) for one in candidates]) for name in ("estimate", "cost"))
    return [candidates[index] for index in pareto(scores, costs)]


def cheapest_within(candidates: list[Point], best: str, margin: float) -> str:
    """Return the cheapest candidate whose estimate lies at most `margin` below that of the `best`.

    It must have seen as much as the best: an estimate from a few examples lies near everybody's, by shrinkage.
    """
    by_id = {one.candidate_id: one for one in candidates}
    if best not in by_id:
        return best
    seen, least = by_id[best].seen, by_id[best].estimate - margin - 1e-9
    near = [one for one in candidates if one.seen >= seen and one.estimate >= least]
    return min(near, key=lambda one: (one.cost, -one.estimate)).candidate_id


def choose(board: Board, best: str, config: SearchConfig, note: Callable[[str], None]) -> tuple[str, list[Point]]:
    """Return the winner by what the config prefers, and the Pareto front where it was asked for.

    `note` is told where the winner is not the best. Only validation decides.
    """
    candidates = points(board, config.cost) if config.margin is not None or len(config.objective) > 1 else []
    chosen = best if config.margin is None else cheapest_within(candidates, best, config.margin)
    if chosen != best:
        by_id = {one.candidate_id: one for one in candidates}
        cheap, dear = (f"{one.estimate:.3f} at {one.price()}" for one in (by_id[chosen], by_id[best]))
        within = f"within {config.margin} of the best on validation"
        unit = "tokens a call" if config.cost == "tokens" else "a thousand calls"
        note(f"the winner is the cheapest prompt {within}: {cheap} {unit}; the best has {dear}")
    return chosen, front(candidates)
