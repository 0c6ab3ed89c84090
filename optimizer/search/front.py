"""Score against tokens: which candidates no other beats in both, and which of them is to be the winner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optimizer.config.schema import SearchConfig
from optimizer.search.acquisition import pareto
from optimizer.search.board import Board


@dataclass(frozen=True)
class Point:
    """A candidate: its shrunken estimate on validation, its tokens a call, and the examples that it saw."""

    candidate_id: str
    estimate: float
    tokens_per_call: float
    seen: int


def points(board: Board) -> list[Point]:
    """Return every candidate that can be ranked and whose price is known, in the order in which they came."""
    return [
        Point(cid, estimate, board.costs[cid], len(board.results(cid)))
        for cid, estimate in board.estimates().items()
        if cid in board.costs
    ]


def front(candidates: list[Point]) -> list[Point]:
    """Return the points that no other beats in both estimate and tokens, the cheapest first."""
    scores, tokens = (np.array([getattr(one, name) for one in candidates]) for name in ("estimate", "tokens_per_call"))
    return [candidates[index] for index in pareto(scores, tokens)]


def cheapest_within(candidates: list[Point], best: str, margin: float) -> str:
    """Return the cheapest candidate whose estimate lies at most `margin` below that of the `best`.

    It must have seen as much as the best: an estimate from a few examples lies near everybody's, by shrinkage.
    """
    by_id = {one.candidate_id: one for one in candidates}
    if best not in by_id:
        return best
    seen, least = by_id[best].seen, by_id[best].estimate - margin - 1e-9
    near = [one for one in candidates if one.seen >= seen and one.estimate >= least]
    return min(near, key=lambda one: (one.tokens_per_call, -one.estimate)).candidate_id


def choose(board: Board, best: str, config: SearchConfig, note: Callable[[str], None]) -> tuple[str, list[Point]]:
    """Return the winner by what the config prefers, and the Pareto front where it was asked for.

    `note` is told where the winner is not the best. Only validation decides.
    """
    candidates = points(board) if config.margin is not None or len(config.objective) > 1 else []
    chosen = best if config.margin is None else cheapest_within(candidates, best, config.margin)
    if chosen != best:
        by_id = {one.candidate_id: one for one in candidates}
        cheap, dear = (f"{one.estimate:.3f} at {one.tokens_per_call:.0f}" for one in (by_id[chosen], by_id[best]))
        within = f"within {config.margin} of the best on validation"
        note(f"the winner is the cheapest prompt {within}: {cheap} tokens a call; the best has {dear}")
    return chosen, front(candidates)
