"""The first trials: what one would try by hand, and format × demo policy × count × order by design."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from typing import Any

from optimizer.prompt.formats import PLAIN
from optimizer.search.space import Space

Levels = tuple[Any, ...]
# A prior of 0.1 is worth about a third more pairs.
TRUST = 3.0


def spread(space: Space, size: int, seed: int, by_hand: bool = True) -> list[dict[str, Any]]:
    """Return `size` first trials: in turn one that a person would try, if `by_hand`, and one by design.

    By hand: the seed's instruction, in the likeliest formats in turn, with some demos of each policy; first with the
    lower middle count, then with the upper. Where labels are read from log-probabilities fixed demos are as many as
    there can be: what many of them say in favour of a label is taken out again, and what they show of the task stays.
    They are seldom the best and seldom bad, and without them a small budget may end with less than what a person finds
    without a search.

    By design: first each format that was not shown yet, since all that is done by hand is lost where the model cannot
    follow its one format; then trials that cover format × policy × count × order, not by luck, by greedy pairwise
    covering (as in AETG, Cohen et al. 1997, doi:10.1109/32.605761). Each has the most pairs of levels that no earlier
    trial had, weighted by what the space's prior says of it. So every level is soon shown, in the company in which it
    is the most likely to do well; where as many trials by design are left as there are counts, policies or orders
    that nothing has shown, these come before all else. Models go round: which is the best is soon clear, whatever the
    prompt. What both parts are worth, with a prior that is right and one
    that is wrong: experiments/replay/README.md.
    """
    # A predictor may have no examples of its own, and so no demos to spread.
    counts = max((space.counts(pool) for pool in space.pools.values()), key=len)
    levels: list[list[Any]] = [list(space.formats), list(space.demos.policies), counts, list(space.demos.orders)]
    first = (space.demos.policies[0], 0, space.demos.orders[0])
    # Without demos their policy and order mean nothing: one trial a format will do.
    open_trials = [t for t in itertools.product(*levels) if t[2] > 0 or t[1:] == first]
    open_trials = [(f, p, c, o) for f, p, c, o in open_trials if space.canonical(c, p, o) == (p, o)]
    chance = random.Random(seed)  # noqa: S311
    chance.shuffle(open_trials)
    weight = {trial: math.exp(TRUST * _belief(space, trial)) for trial in open_trials}
    pairs = {trial: _pairs(trial) for trial in open_trials}
    # Instructions and sets go round, from where the seed says.
    numbers = itertools.count(chance.randrange(max(len(pool.instructions) for pool in space.pools.values())))
    hand = _by_hand(space, counts) if by_hand else []
    covered: set[Levels] = set()
    hidden = set().union(*map(_shown, open_trials))
    chosen: list[dict[str, Any]] = []

    def worth(trial: Levels) -> tuple[bool, float, float]:
        return (0, trial[0]) not in covered, len(pairs[trial] - covered) * weight[trial], weight[trial]

    while open_trials and len(chosen) < size:
        hand = [trial for trial in hand if trial in open_trials]
        if hand and len(chosen) % 2 == 0:
            best, number = hand[0], 0
        else:
            coming = hand[: (size - len(chosen)) // 2]
            due = _due(hidden.difference(*map(_shown, coming)), size - len(chosen) - len(coming))
            needed = {trial: sum(bool(levels & _shown(trial)) for levels in due) for trial in open_trials}
            most = max(needed.values())
            best, number = max((t for t in open_trials if needed[t] == most), key=worth), next(numbers)
        open_trials.remove(best)
        covered |= pairs[best]
        hidden -= _shown(best)
        chosen.append(_params(space, best, number, _model(space, len(chosen))))
    return chosen


def _model(space: Space, trial: int) -> str:
    """Return the model of a first trial: all in turn, each with a trial by hand and one by design."""
    return space.models[trial // 2 % len(space.models)]


def believed(space: Space, size: int) -> list[dict[str, Any]]:
    """Return up to `size` trials that are believed to answer well together: one with retrieved demos, then fixed sets.

    What they know differs: the nearest demos show a few labels, each set shows all of them by other examples. They are
    in the likeliest formats in turn, of those that have the same readout, and have as many demos as is tried by hand.
    Nothing where there are no demos.
    """
    counts = max((space.counts(pool) for pool in space.pools.values()), key=len)
    tried = sorted((levels for _, *levels in _by_hand(space, counts)), key=lambda levels: -levels[1])
    retrieved = [levels for levels in tried if levels[0] != "static"][:1]
    fixed = [levels for levels in tried if levels[0] == "static"][:1]
    sets = range(max(len(pool.sets) for pool in space.pools.values()))
    chosen = [*((levels, 0) for levels in retrieved), *itertools.product(fixed, sets)][:size]
    first, *others = _likeliest(space)
    alike = [first, *(name for name in others if (name in PLAIN) == (first in PLAIN) or not space.reads_labels)]
    return [
        {**_params(space, (name, *levels), 0), **{f"{pool}.set": number for pool in space.pools}}
        for name, (levels, number) in zip(itertools.cycle(alike), chosen, strict=False)
    ]


def _shown(levels: Levels) -> set[Levels]:
    """Return the levels that a trial shows, with their places: without demos it has no policy and no order."""
    return {(number, level) for number, level in enumerate(levels) if levels[2] > 0 or number in (0, 2)}


def _due(hidden: set[Levels], left: int) -> list[set[Levels]]:
    """Return the sets of levels, hidden so far, of which each of the trials that are `left` has to show one."""
    without = {level for level in hidden if level == (2, 0)}
    sets = [
        {level for level in hidden if level[0] == number} | (without if number % 2 else set()) for number in range(4)
    ]
    return [levels for levels in sets if len(levels) == left]


def _by_hand(space: Space, counts: Sequence[int]) -> list[Levels]:
    """Return what one would try by hand: first the policies of which the most is believed, formats in turn."""
    some = [count for count in counts if count]
    middle = dict.fromkeys(some[index] for index in ((len(some) - 1) // 2, len(some) // 2) if some)
    formats = _likeliest(space)
    trials = itertools.product(space.demos.policies, middle)
    ranked = sorted(trials, key=lambda one: (one[1], -_belief(space, (formats[0], *one, None))))
    if space.reads_labels:
        ranked = list(dict.fromkeys((policy, max(some) if policy == "static" else n) for policy, n in ranked))
    return [(name, *one, space.demos.orders[0]) for name, one in zip(itertools.cycle(formats), ranked, strict=False)]


def _likeliest(space: Space) -> list[str]:
    """Return the formats of which the most is believed; the first of all where nothing is."""
    beliefs = [_belief(space, (name, None, 0, None)) for name in space.formats]
    likeliest = [name for name, belief in zip(space.formats, beliefs, strict=True) if belief == max(beliefs)]
    # The first has the seed already, so another begins.
    return likeliest[::-1] if space.prior else likeliest[:1]


def _belief(space: Space, levels: Levels) -> float:
    format_name, policy, count, _ = levels
    return 0.0 if space.prior is None else space.prior.of(format_name, count, policy)


def _params(space: Space, levels: Levels, number: int, model: str = "") -> dict[str, Any]:
    format_name, policy, count, order = levels
    params: dict[str, Any] = {}
    for name, pool in space.pools.items():
        # A predictor may have fewer examples than the one for which the levels were chosen.
        allowed = max((c for c in space.counts(pool) if c <= count), default=space.counts(pool)[0])
        params |= {f"{name}.format": format_name, f"{name}.policy": policy, f"{name}.count": allowed}
        params[f"{name}.order"] = order
        params[f"{name}.instruction"] = number % len(pool.instructions)
        params[f"{name}.set"] = number % max(1, len(pool.sets))
        readouts = space.readouts(pool, format_name, model)
        if len(readouts) > 1:
            params[f"{name}.readout"] = readouts[number % len(readouts)]
        if len(space.models) > 1:
            params[f"{name}.model"] = model
    return params


def _pairs(levels: Levels) -> set[Levels]:
    # A level alone counts too, so that the first trials show every level once.
    return set(itertools.combinations(enumerate(levels), 2)) | set(enumerate(levels))
