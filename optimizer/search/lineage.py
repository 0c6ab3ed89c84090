"""Where proposals come from and go to: what a proposer sees of the board, and where its child is tried."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from optimizer.propose.base import Attempts, Proposal, Subject, Tried, folded
from optimizer.propose.parents import draw_parents, front_weights
from optimizer.search.board import Board
from optimizer.search.space import Space
from optimizer.types import Candidate

RESTART, MOST_PAST = 0.15, 10


def informed(
    subject: Subject, space: Space, board: Board, best: str, serial: int, rng: random.Random, attempts: Attempts
) -> Subject:
    """Return a subject that knows what was tried, with two parents drawn by chance; now and then with none.

    The fresh start keeps a bad seed, and the family of a lucky candidate, from being all that is ever built on.
    """
    name = subject.predictor
    # An estimate from few examples may lie outside [0, 1]; a proposer is shown scores that do not.
    tried = [
        Tried(cid, board.candidates[cid].prompts[name], min(1.0, max(0.0, board.estimate(cid, best))))
        for cid in board.ranked()
        if not board.candidates[cid].prompts[name].ensemble
    ]
    words = [folded(one.prompt.instruction) for one in tried]
    fresh = rng.random() < RESTART
    weights = front_weights(*board.table([one.id for one in tried])) if not fresh else []
    parents = [tried[index] for index in draw_parents(weights, 2, rng, lambda a, b: words[a] == words[b])]
    return replace(
        subject,
        instruction=parents[0].prompt.instruction if parents else subject.instruction,
        past=_each_once(tried)[:MOST_PAST],
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


def with_proposal(
    space: Space, proposal: Proposal, predictor: str, parent: Candidate
) -> tuple[Space, dict[str, Any] | None]:
    """Return the space with a proposal in it, and the parameters of its child: the parent with the proposal in it.

    A child has a readout of the space, whatever the seed has. There are no parameters for a parent that this space
    does not describe in all else.
    """
    wider = space.grown(predictor, sets=[proposal]) if proposal.demos else space.grown(predictor, [proposal])
    params, pool = wider.params_of(wider.reading(parent)), wider.pools[predictor]
    if params is None:
        return wider, None
    if proposal.demos:
        counts = [count for count in wider.counts(pool) if count]
        params[f"{predictor}.count"] = params[f"{predictor}.count"] or counts[len(counts) // 2]
        params[f"{predictor}.policy"], params[f"{predictor}.set"] = "static", len(pool.sets) - 1
        params.setdefault(f"{predictor}.order", wider.demos.orders[0])
    else:
        params[f"{predictor}.instruction"] = len(pool.instructions) - 1
    return wider, params
