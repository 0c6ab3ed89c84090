"""How often the interval by people and a judge misses: `python -m experiments.intervals.powered --draws 2000`.

Each case draws test sets on which a seed and a winner are right or wrong as people say, and a judge says the same with
some chance, with a bias for the winner; people score 30 %.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass

import numpy as np

from optimizer.evaluate.powered import powered

SIZES, SHARE = (100, 200, 400), 0.3


@dataclass(frozen=True)
class Case:
    """How often seed and winner are right, the judge's chances to say so of right and wrong answers, and its bias."""

    seed: float
    winner: float
    right: float
    wrong: float
    bias: float
    graded: bool


CASES = (
    Case(0.5, 0.7, 0.9, 0.2, 0.1, False),
    Case(0.5, 0.7, 0.9, 0.2, 0.1, True),
    Case(0.8, 0.9, 0.8, 0.4, 0.1, False),
    Case(0.6, 0.6, 0.7, 0.3, 0.2, True),
    Case(0.9, 0.97, 0.95, 0.5, 0.0, False),
    Case(0.5, 0.6, 0.5, 0.5, 0.3, False),
)


def main() -> None:
    """Print a row a case and size: how often each end misses, and the widths with the judge and without it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    columns = ["examples", "seed, winner", "judge says right of right, wrong; bias", "low, high end misses", "covers"]
    sys.stdout.write(f"| {' | '.join(columns)} | width: with, without |\n|---|---|---|---|---|---|\n")
    rng = np.random.default_rng(asked.seed)
    for size, case in itertools.product(SIZES, CASES):
        low, high, width, alone = np.mean([_drawn(rng, size, case) for _ in range(asked.draws)], axis=0)
        kind = "graded" if case.graded else "0 and 1"
        sys.stdout.write(
            f"| {size} | {case.seed:g}, {case.winner:g} | {case.right:g}, {case.wrong:g}; {case.bias:g} ({kind}) | "
            f"{100 * low:.1f} %, {100 * high:.1f} % | {100 * (1 - low - high):.1f} % | {width:.3f}, {alone:.3f} |\n"
        )


def _drawn(rng: np.random.Generator, size: int, case: Case) -> tuple[float, float, float, float]:
    hard = rng.random(size)
    own = np.where(rng.random(size) < 0.5, hard, rng.random(size))
    seed, winner = hard < case.seed, own < case.winner
    judged = _judged(rng, winner, case, case.bias) - _judged(rng, seed, case, 0.0)
    gains = winner.astype(float) - seed
    people: list[float | None] = [None] * size
    for at in rng.choice(size, int(SHARE * size), replace=False):
        people[at] = float(gains[at])
    found = powered(judged.tolist(), people)
    alone = powered([0.0] * size, people)
    truth = case.winner - case.seed
    return found.ci95[0] > truth, found.ci95[1] < truth, _width(found.ci95), _width(alone.ci95)


def _judged(rng: np.random.Generator, right: np.ndarray, case: Case, bias: float) -> np.ndarray:
    chance = np.minimum(1.0, np.where(right, case.right, case.wrong) + bias)
    says = (rng.random(len(right)) < chance).astype(float)
    return np.asarray(0.6 * says + 0.4 * rng.random(len(right)) if case.graded else says)


def _width(ends: tuple[float, float]) -> float:
    return ends[1] - ends[0]


if __name__ == "__main__":
    main()
