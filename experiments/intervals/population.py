"""How often the intervals of a statistic of labels miss it: `python -m experiments.intervals.population --draws 2000`.

Each case draws test sets of two prompts' answers, paired by example, and counts how often each end of the interval of
the difference, and of the second prompt's own score, lies on the wrong side of what is true of the distribution.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from optimizer.evaluate.aggregate import Population
from optimizer.task.metrics.population import Kind, Statistic
from optimizer.types import Score

LABELS = "abcdefgh"


@dataclass(frozen=True)
class Case:
    """Test sets of `size` examples: each label's share, how often each prompt is right on it, and how alike they are.

    Of `alike` of the examples both prompts answer the same wherever their chances allow it.
    """

    size: int
    shares: Sequence[float]
    before: Sequence[float]
    after: Sequence[float]
    alike: float

    def chances(self) -> np.ndarray:
        """Return the chance of each (label, first answer, second answer)."""
        labels = len(self.shares)
        table = np.zeros((labels, labels, labels))
        for label, share in enumerate(self.shares):
            first, second = (_answers(labels, label, right[label]) for right in (self.before, self.after))
            both = (1 - self.alike) * np.outer(first, second) + self.alike * np.diag(np.minimum(first, second))
            table[label] = share * both / both.sum()
        return table.ravel()


CASES = (
    Case(100, [0.9, 0.1], [0.95, 0.3], [0.95, 0.3], 0.3),
    Case(100, [0.9, 0.1], [0.95, 0.2], [0.9, 0.6], 0.3),
    Case(100, [0.9, 0.1], [0.99, 0.1], [0.99, 0.9], 0.3),
    Case(40, [0.9, 0.1], [0.95, 0.3], [0.95, 0.3], 0.3),
    Case(40, [0.5, 0.5], [0.6, 0.6], [0.9, 0.9], 0.3),
    Case(200, [0.97, 0.03], [0.97, 0.5], [0.97, 0.5], 0.5),
    Case(60, [0.7, 0.2, 0.1], [0.9, 0.5, 0.2], [0.9, 0.5, 0.2], 0.3),
    Case(100, [0.6, 0.2, 0.1, 0.05, 0.05], [0.9, 0.9, 0.5, 0.3, 0.2], [0.9] * 5, 0.6),
    Case(60, [0.125] * 8, [0.6] * 8, [0.8] * 8, 0.5),
    Case(100, [0.4, 0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05], [0.5] * 8, [0.9] * 8, 0.5),
)


def main() -> None:
    """Print the worst of all cases, by statistic."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    sys.stdout.write("| statistic | difference: low, high end misses | score: low, high end misses |\n|---|---|---|\n")
    for kind in get_args(Kind):
        missed = np.array([_missed(case, kind, asked.draws, asked.seed + at) for at, case in enumerate(CASES)])
        gain_low, gain_high, low, high = (f"{100 * worst:.1f} %" for worst in missed.max(axis=0))
        sys.stdout.write(f"| `{kind}` | {gain_low}, {gain_high} | {low}, {high} |\n")


def _missed(case: Case, kind: Kind, draws: int, seed: int) -> np.ndarray:
    """Return the shares of draws that each end missed: of the difference, and of the second prompt's score."""
    labels = LABELS[: len(case.shares)]
    statistic = Statistic(kind, tuple(labels), labels[-1] if kind == "f_beta" else None)
    cells = list(itertools.product(labels, repeat=3))
    answers = [[Score(0.0, pair=(cell[0], cell[side])) for cell in cells] for side in (1, 2)]
    chances, population, rng = case.chances(), Population(statistic), np.random.default_rng(seed)
    first, second = (statistic.of([score.pair for score in side if score.pair], chances) for side in answers)
    missed = np.zeros(4)
    for _ in range(draws):
        drawn = rng.choice(len(cells), case.size, p=chances)
        before, after = ([side[cell] for cell in drawn] for side in answers)
        gain_low, gain_high = population.difference(after, before)[1]
        low, high = population.interval(after)
        missed += [gain_low > second - first, gain_high < second - first, low > second, high < second]
    return missed / draws


def _answers(labels: int, label: int, right: float) -> np.ndarray:
    chances = np.full(labels, (1 - right) / (labels - 1))
    chances[label] = right
    return chances


if __name__ == "__main__":
    main()
