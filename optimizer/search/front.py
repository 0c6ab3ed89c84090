"""Score against tokens: which candidates no other beats in both, and which of them is to be the winner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optimizer.config.schema import SearchConfig
from optimizer.evaluate.shrinkage import shrink
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
    sound = [cid for cid in board.candidates if board.scores(cid) and not board.too_many_failures(cid)]
    if not sound:
        return []
    estimates = shrink(*board.table(sound)).mean.tolist()
    return [
        Point(cid, estimate, board.costs[cid], len(board.results(cid)))
        for cid, estimate in zip(sound, estimates, strict=True)
        if cid in board.costs
    ]


def front(found: list[Point]) -> list[Point]:
    """Return the points that no other beats in both estimate and tokens, the cheapest first."""
    scores, tokens = (np.array([getattr(one, name) for one in found]) for name in ("estimate", "tokens_per_call"))
    return [found[place] for place in pareto(scores, tokens)]


def cheapest_within(found: list[Point], best: str, margin: float) -> str:
    """Return the cheapest candidate whose estimate lies at most `margin` below that of the `best`.

    It must have seen as much as the best: an estimate from a few examples lies near everybody's, by shrinkage.
    """
    winner = next((one for one in found if one.candidate_id == best), None)
    if winner is None:
        return best
    near = [one for one in found if one.seen >= winner.seen and one.estimate >= winner.estimate - margin - 1e-9]
    return min(near, key=lambda one: (one.tokens_per_call, -one.estimate)).candidate_id


def choose(board: Board, best: str, config: SearchConfig, note: Callable[[str], None]) -> tuple[str, list[Point]]:
    """Return the winner by what the config prefers, and the Pareto front where it was asked for.

    `note` is told where the winner is not the best. Only validation decides.
    """
    found = points(board) if config.margin is not None or len(config.objective) > 1 else []
    chosen = best if config.margin is None else cheapest_within(found, best, config.margin)
    if chosen != best:
        mine, its = (next(one for one in found if one.candidate_id == cid) for cid in (chosen, best))
        note(
            f"the winner is the cheapest prompt within {config.margin} of the best on validation: {mine.estimate:.3f} "
            f"at {mine.tokens_per_call:.0f} tokens a call; the best has {its.estimate:.3f} at {its.tokens_per_call:.0f}"
        )
    return chosen, front(found)
