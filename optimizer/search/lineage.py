"""Where proposals come from and go to: what a proposer is told of the board, and where its child is tried."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from optuna.trial import FixedTrial

from optimizer.propose.base import Attempts, Proposal, Subject, Tried, folded
from optimizer.propose.parents import draw_parents, front_weights
from optimizer.search.board import Board
from optimizer.search.space import Space
from optimizer.types import Candidate

RESTART, MOST_TOLD = 0.15, 10


def informed(
    subject: Subject, space: Space, board: Board, best: str, serial: int, rng: random.Random, attempts: Attempts
) -> Subject:
    """Return a subject that knows what was tried, with two parents drawn by chance; now and then with none.

    The fresh start keeps a bad seed, and the family of a lucky candidate, from being all that is ever built on.
    """
    name = subject.predictor
    ids = [cid for cid in board.candidates if board.scores(cid) and not board.too_many_failures(cid)]

    def alike(one: int, two: int) -> bool:
        first, second = (board.candidates[ids[place]].prompts[name].instruction for place in (one, two))
        return folded(first) == folded(second)

    fresh = rng.random() < RESTART
    places = [] if fresh else draw_parents(front_weights(*board.table(ids)), 2, rng, alike)
    # What few examples tell may be carried beyond all scores; who is told a score takes it for one.
    scores = {cid: min(1.0, max(0.0, board.estimate(cid, best))) for cid in ids}
    tried = {cid: Tried(cid, board.candidates[cid].prompts[name], scores[cid]) for cid in ids}
    parents = [tried[ids[place]] for place in places]
    return replace(
        subject,
        instruction=parents[0].prompt.instruction if parents else subject.instruction,
        past=_each_once(list(tried.values()))[:MOST_TOLD],
        parents=parents,
        attempts=attempts,
        demos=max(space.counts(space.pools[name])) if "static" in space.demos.policies else 0,
        serial=serial,
    )


def _each_once(tried: Sequence[Tried]) -> list[Tried]:
    """Return each instruction with its best candidate, the best first."""
    once: dict[str, Tried] = {}
    for one in sorted(tried, key=lambda one: (-one.score, one.id)):
        once.setdefault(folded(one.prompt.instruction), one)
    return list(once.values())


def settled_in(
    space: Space, found: Proposal, predictor: str, parent: Candidate
) -> tuple[Space, dict[str, Any] | None, Candidate | None]:
    """Return the space with a proposal in it, and its child: the parent with the proposal in its place.

    The child comes as parameters and as a candidate; None for a parent that this space does not describe.
    """
    wider = space.grown(predictor, sets=[found]) if found.demos else space.grown(predictor, [found])
    params, pool = wider.params_of(parent), wider.pools[predictor]
    if params is None:
        return wider, None, None
    if found.demos:
        counts = [count for count in wider.counts(pool) if count]
        params[f"{predictor}.count"] = params[f"{predictor}.count"] or counts[len(counts) // 2]
        params[f"{predictor}.policy"], params[f"{predictor}.set"] = "static", len(pool.sets) - 1
        params.setdefault(f"{predictor}.order", wider.demos.orders[0])
    else:
        params[f"{predictor}.instruction"] = len(pool.instructions) - 1
    return wider, params, wider.suggest(FixedTrial(params))
