"""Score against tokens or dollars, and latency: which candidates no other beats in all, and which is to win."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optimizer.config.schema import Cost, SearchConfig
from optimizer.evaluate.latency import Latency
from optimizer.search.acquisition import pareto
from optimizer.search.board import Board


@dataclass(frozen=True)
class Point:
    """A candidate: its shrunken estimate on validation, what a call costs, and the examples that it saw.

    `usd_per_call` is None where tokens are what the search compares; `latency` where no answer's time is known.
    """

    candidate_id: str
    estimate: float
    tokens_per_call: float
    seen: int
    usd_per_call: float | None = None
    latency: Latency | None = None

    @property
    def cost(self) -> float:
        """What a call costs, in what the search compares."""
        return self.tokens_per_call if self.usd_per_call is None else self.usd_per_call

    @property
    def milliseconds(self) -> float:
        """How long an answer takes, by the median; endless where nobody knows."""
        return np.inf if self.latency is None else self.latency.p50

    def to_json(self) -> dict[str, Any]:
        """Return it as result.json has it."""
        data = {name: getattr(self, name) for name in ("candidate_id", "estimate", "tokens_per_call", "seen")}
        if self.usd_per_call is not None:
            data["usd_per_call"] = self.usd_per_call
        return data if self.latency is None else {**data, "latency": self.latency.to_json()}

    def price(self) -> str:
        """Return what a call costs, in words."""
        if self.usd_per_call is None:
            return f"{self.tokens_per_call:.0f} tokens a call"
        return f"${1000 * self.usd_per_call:.3g} a thousand calls"

    def pace(self) -> str:
        """Return how long an answer takes, in words."""
        return "an unknown time" if self.latency is None else self.latency.text()


def points(board: Board, cost: Cost, by_latency: bool = False) -> list[Point]:
    """Return every candidate that can be ranked and whose cost is known, in the order in which they came."""
    return [
        Point(
            cid,
            estimate,
            board.costs[cid] if cost == "tokens" else board.tokens_per_call(cid) or 0.0,
            len(board.results(cid)),
            board.usd_per_call(cid) if cost == "usd" else None,
            board.latency(cid) if by_latency else None,
        )
        for cid, estimate in board.estimates().items()
        if cid in board.costs
    ]


def front(candidates: Sequence[Point], objective: Sequence[str] = ("score", "tokens")) -> list[Point]:
    """Return the points that no other beats in estimate and each cost of an objective, the cheapest first.

    Where latency counts, who has none that is known is on no front.
    """
    names = ["milliseconds" if name == "latency" else "cost" for name in objective[1:]]
    known = [one for one in candidates if "milliseconds" not in names or one.latency is not None]
    if not (names and known):
        return []
    costs = np.array([[getattr(one, name) for name in names] for one in known])
    return [known[index] for index in pareto(np.array([one.estimate for one in known]), costs)]


def cheapest_within(candidates: Sequence[Point], best: str, margin: float, by: str = "cost") -> str:
    """Return the cheapest candidate whose estimate lies at most `margin` below that of the `best`.

    It must have seen as much as the best: an estimate from a few examples lies near everybody's, by shrinkage.
    `by` milliseconds it is the fastest.
    """
    by_id = {one.candidate_id: one for one in candidates}
    if best not in by_id:
        return best
    seen, least = by_id[best].seen, by_id[best].estimate - margin - 1e-9
    near = [one for one in candidates if one.seen >= seen and one.estimate >= least]
    return min(near, key=lambda one: (getattr(one, by), -one.estimate)).candidate_id


def choose(board: Board, best: str, config: SearchConfig, note: Callable[[str], None]) -> tuple[str, list[Point]]:
    """Return the winner by what the config prefers, and the Pareto front where it was asked for.

    `note` is told where the winner is not the best, and where latency is not known. Only validation decides.
    """
    several = len(config.objective) > 1
    candidates = points(board, config.cost, config.by_latency) if config.margin is not None or several else []
    chosen, fast = best, config.prefer.startswith("fastest")
    if config.margin is not None:
        chosen = cheapest_within(candidates, best, config.margin, "milliseconds" if fast else "cost")
    if chosen != best:
        by_id = {one.candidate_id: one for one in candidates}
        wins, beaten = (
            f"{one.estimate:.3f} at {one.pace() if fast else one.price()}" for one in (by_id[chosen], by_id[best])
        )
        within = f"within {config.margin} of the best on validation"
        note(f"the winner is the {'fastest' if fast else 'cheapest'} prompt {within}: {wins}; the best has {beaten}")
    unknown = sum(one.latency is None for one in candidates)
    if config.by_latency and unknown:
        note(
            f"the latency of {unknown} of {len(candidates)} candidates is not known, as the cache between runs "
            "answered for them: they are on no front of latency, and cannot win as the fastest"
        )
    return chosen, front(candidates, config.objective) if several else []
