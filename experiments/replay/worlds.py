"""What a search is played on: a space, the score of every candidate on every example, and the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from experiments.replay.tables import Choice, Table
from optimizer.config.schema import Demos, SearchConfig
from optimizer.prompt.program import ROOT
from optimizer.prompt.readout import readout_in
from optimizer.propose.base import Proposal
from optimizer.search.space import Pool, Space
from optimizer.task.split import interleaved
from optimizer.types import Candidate, Example, Prompt, Readout

SETTINGS = SearchConfig()
# How unlike two choices are: what the format, the policy and the number of demos change the most.
WEIGHTS = {"format": 8.0, "policy": 3.0, "instruction": 1.0, "order": 0.4, "set": 0.4}


@dataclass(frozen=True)
class Snapped(Space):
    """The default space, in which every cell is played by the nearest candidate that has scores."""

    nearest: Mapping[str, Candidate] | None = None

    def suggest(self, trial: Any) -> Candidate:
        """Return the candidate with scores that is nearest to the trial's suggestions."""
        made = super().suggest(trial)
        return made if self.nearest is None else self.nearest[made.id]


@dataclass(frozen=True)
class World:
    """Candidates × examples in the order in which they are seen; `truth` is each candidate's true mean.

    The first candidate is the seed prompt. `tokens` are prompt tokens a call; `places` is each id's row. `labels`
    numbers each example's right answer, where that is known.
    """

    name: str
    space: Space
    candidates: tuple[Candidate, ...]
    choices: tuple[Choice, ...]
    places: Mapping[str, int]
    scores: np.ndarray
    truth: np.ndarray
    tokens: np.ndarray
    labels: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        """How many examples one full evaluation takes."""
        return int(self.scores.shape[1])


def in_turn(world: World, seed: int) -> World:
    """Return the world with its examples in the order in which the product would show them: labels in turn."""
    if not world.labels:
        return world
    examples = [Example({"place": place}, {"label": label}) for place, label in enumerate(world.labels)]
    shown = interleaved(examples, seed, lambda example: str(example.outputs["label"]))
    order = [example.inputs["place"] for example in shown]
    return replace(world, scores=world.scores[:, order], labels=tuple(world.labels[place] for place in order))


def replayed(table: Table, seed: int, held_out: bool = False) -> World:
    """Return a world that is a table with its columns in random order.

    The truth is the mean over all columns: the whole table is the population, and a search that has seen
    all of it knows it. With `held_out` the search sees one half of the columns and the other half is the
    truth: too few for a regret (the best of many noisy means is nobody's), but without bias for what a
    search reports of its winner.
    """
    order = np.random.default_rng([seed, 1]).permutation(table.scores.shape[1])
    cut = len(order) // 2 if held_out else len(order)
    hidden = order[cut:] if held_out else order
    scores, truth = table.scores[:, order[:cut]], table.scores[:, hidden].mean(axis=1)
    labels = tuple(table.labels[place] for place in order[:cut]) if table.labels else ()
    return replace(world_of(table, table.choices, scores, truth, np.array(table.tokens)), labels=labels)


def world_of(
    table: Table, choices: tuple[Choice, ...], scores: np.ndarray, truth: np.ndarray, tokens: np.ndarray
) -> World:
    """Return the world of these choices; every other cell of the default space is played by the nearest."""
    readout: Readout = "generate" if table.logprobs is None else "calibrated"
    space, candidates, places = _played_by(table.instructions, table.sets, formats_of(table), choices, readout)
    return World(table.task, space, candidates, choices, places, scores, truth, tokens)


def formats_of(table: Table) -> tuple[str, ...]:
    """Return the formats of the default space that a table has: it may be older than one of them."""
    recorded = {choice.format for choice in table.choices}
    return tuple(name for name in SETTINGS.formats if name in recorded)


@lru_cache(maxsize=8)
def _played_by(
    instructions: tuple[str, ...],
    sets: tuple[tuple[str, ...], ...],
    formats: tuple[str, ...],
    choices: tuple[Choice, ...],
    readout: Readout,
) -> tuple[Space, tuple[Candidate, ...], dict[str, int]]:
    space = space_of(instructions, sets, formats, readout)
    cells = cells_of(instructions, sets, formats)
    candidates = tuple(candidate_of(choice, space.pools[ROOT]) for choice in choices)
    places = {one.id: place for place, one in enumerate(candidates)}
    if len(choices) < len(cells):
        made = (candidate_of(cell, space.pools[ROOT]).id for cell in cells)
        by_id = {cid: candidates[row] for cid, row in zip(made, nearest(cells, choices), strict=True)}
        space = Snapped(space.pools, space.formats, space.demos, space.prior, nearest=by_id)
    return space, candidates, places


@lru_cache(maxsize=8)
def space_of(
    instructions: tuple[str, ...],
    sets: tuple[tuple[str, ...], ...],
    formats: tuple[str, ...] = SETTINGS.formats,
    readout: Readout = "generate",
) -> Space:
    """Return the default space over a table's pools; an example is known by its place in the data only."""
    proposals = tuple(Proposal(text, "templates" if number else "seed") for number, text in enumerate(instructions))
    demos = tuple(tuple(Example({"text": place}, {"answer": place}, place) for place in one) for one in sets)
    pool = Pool(proposals, demos, max(SETTINGS.demos.counts), readouts=(readout,))
    return Space({ROOT: pool}, formats, SETTINGS.demos, SETTINGS.prior)


@lru_cache(maxsize=8)
def cells_of(
    instructions: tuple[str, ...], sets: tuple[tuple[str, ...], ...], formats: tuple[str, ...] = SETTINGS.formats
) -> tuple[Choice, ...]:
    """Return every distinct cell of the default space; the first is the seed prompt."""
    dims: Demos = SETTINGS.demos
    found = dict.fromkeys(
        Choice(number, layout, policy, count, order, place)
        for number in range(len(instructions))
        for layout in formats
        for policy in dims.policies
        for count in dims.counts
        for order in dims.orders
        for place in range(len(sets))
    )
    return tuple(found)


def candidate_of(choice: Choice, pool: Pool) -> Candidate:
    """Return the candidate that a choice describes, as the search itself would make it."""
    dimensions = asdict(choice)
    place, number = dimensions.pop("set"), dimensions.pop("instruction")
    demos = pool.sets[place][: choice.count] if choice.policy == "static" else ()
    instruction = pool.instructions[number]
    readout = readout_in(choice.format, pool.readouts[0])
    return Candidate({ROOT: Prompt(instruction.text, **dimensions, demos=demos, readout=readout)}, instruction.origin)


@lru_cache(maxsize=16)
def nearest(cells: tuple[Choice, ...], choices: tuple[Choice, ...]) -> np.ndarray:
    """Return for each cell the place of the choice that is most like it; ties to the first."""
    distance = np.zeros((len(cells), len(choices)))
    for name, weight in WEIGHTS.items():
        mine, theirs = ([getattr(one, name) for one in some] for some in (cells, choices))
        distance += weight * (np.array(mine)[:, None] != np.array(theirs)[None, :])
    mine, theirs = (np.log2(1.0 + np.array([one.count for one in some])) for some in (cells, choices))
    distance += 2.0 * np.abs(mine[:, None] - theirs[None, :])
    return np.argmin(distance, axis=1)
