"""What could have been told from the answers that a search has seen, by one who knows how the world was drawn.

Likeliest values, not a bound: where they choose no better than the search did, its choice has little to gain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.replay.generator import Answers, Fit, drawn, fitted, likeliest, manner_of, over_examples
from experiments.replay.methods import product
from experiments.replay.play import answered, searched
from experiments.replay.tables import Choice, Table
from experiments.replay.worlds import nearest

STEPS = 500
# What is known besides the spreads of all effects. The last is all that worlds of one table have in common.
KNOWN: dict[str, frozenset[str]] = {
    "by who knows the spreads": frozenset(),
    "and each prompt's taste": frozenset({"taste"}),
    "and what formats, demos and orders do": frozenset(
        {"taste", "base", "format", "manner", "format, manner", "demos", "order"}
    ),
}


@dataclass(frozen=True)
class Judged:
    """How far below the best prompt of the world lie: the winner, the best that was tried, the best seen in full.

    `known` holds what the winner would lie below it for each of KNOWN; all in scores in [0, 1].
    """

    winner: float
    tried: float
    finished: float
    known: tuple[float, ...]


def judged(table: Table, seed: int, evaluations: float, candidates: int = 0, examples: int = 100) -> Judged:
    """Play the product on a drawn world and judge what it has seen."""
    world = drawn(table, seed, candidates, examples)
    board = product(world, round(evaluations * world.length), seed, play=searched)
    tried = answered(board)
    rows = np.array([world.places[cid] for cid in tried])
    seen = Answers.of([world.choices[row] for row in rows], *board.table(tried))
    below = world.truth.max() - world.truth[rows]
    lengths = seen.answered.sum(axis=1)
    return Judged(
        winner=float(below[tried.index(board.winner() or tried[0])]),  # where none could be ranked, the seed
        tried=float(below.min()),
        finished=float(below[lengths == lengths.max()].min()),
        known=tuple(float(below[guesses(table, world.choices, rows, seen, held).argmax()]) for held in KNOWN.values()),
    )


def guesses(
    table: Table, choices: tuple[Choice, ...], rows: np.ndarray, seen: Answers, held: frozenset[str]
) -> np.ndarray:
    """Return the likeliest true scores of the `rows` of `choices`, given what was seen and the parts in `held`.

    Tastes that are not known are taken for none: with those of the examples they would be estimated too large.
    """
    model = fitted(table)
    tried = tuple(choices[row] for row in rows)
    start = seen.shape.parts(np.random.default_rng(0).normal(0, 0.1, seen.shape.size))
    start |= {"taste": np.zeros_like(start["taste"])}
    start |= _truly(model, seen, model.tastes[nearest(choices, table.choices)][rows], held)
    spreads = {**model.spreads, "own": np.array([model.own[manner_of(one)] for one in tried])}
    noise = 1.0 if model.binary else 1 / (model.precision + 1)
    point = np.concatenate([start[name].ravel() for name in seen.shape.shapes])
    found = seen.shape.parts(likeliest(point, seen, spreads, noise, held | {"taste"}, STEPS))
    effects = sum(np.einsum("rl,l->r", matrix, found[name]) for name, matrix in seen.design.items())
    return over_examples(model, found["base"][0] + found["own"] + effects, found["taste"])


def _truly(model: Fit, seen: Answers, tastes: np.ndarray, held: frozenset[str]) -> dict[str, np.ndarray]:
    """Return the parts in `held` as the worlds of the table have them."""
    found = {"base": np.array([model.base]), "taste": tastes}
    for name, levels in seen.levels.items():
        found[name] = np.array([model.effects[name].get(level, 0.0) for level in levels])
    return {name: found[name] for name in held}
