"""How often the intervals of a statistic of all answers miss it: `python -m experiments.intervals.population`.

Each case draws test sets of two prompts' answers, paired by example, and counts how often each end of the interval of
the difference, and of the second prompt's own score, lies on the wrong side of what is true of the distribution. Where
that cannot be computed (numbers, texts) it is the statistic of 200,000 examples.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np

from optimizer.evaluate.aggregate import Population
from optimizer.task.metrics.corpus import Corpus
from optimizer.task.metrics.population import Kind, Statistic
from optimizer.task.metrics.ranking import Ranking
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


Pairs = list[tuple[str, str]]
# How many examples stand for the distribution.
MANY = 200_000


@dataclass(frozen=True)
class Numbers:
    """Test sets of `size` numbers, and of answers that two prompts give: the number times a slope, and noise.

    Of `shares` of the examples it is a 1 (for AUC), else the numbers are normal, or skewed to one side. Both prompts'
    noise is `alike` in part; answers are `rounded` to so many digits, so that there are ties.
    """

    size: int
    slopes: tuple[float, float]
    share: float = 0.5
    skewed: bool = False
    alike: float = 0.5
    rounded: int = 1

    def draw(self, kind: str, size: int, rng: np.random.Generator) -> tuple[Pairs, Pairs]:
        """Return both prompts' pairs."""
        right: Any = (rng.random(size) < self.share).astype(float)
        if kind != "auc":
            right = rng.lognormal(0, 1, size) if self.skewed else rng.normal(0, 1, size)
        common, *own = rng.normal(0, 1, (3, size))
        noises = [np.sqrt(self.alike) * common + np.sqrt(1 - self.alike) * one for one in own]
        said = [slope * right + noise for slope, noise in zip(self.slopes, noises, strict=True)]
        first, second = (np.round(one, self.rounded).tolist() for one in said)
        texts = [repr(int(one)) if kind == "auc" else repr(one) for one in right.tolist()]
        return list(zip(texts, map(repr, first), strict=True)), list(zip(texts, map(repr, second), strict=True))


NUMBERS = (
    Numbers(40, (1.0, 1.0)),
    Numbers(40, (0.3, 2.0)),
    Numbers(100, (1.0, 1.0), share=0.1),
    Numbers(100, (0.5, 3.0), share=0.1),
    Numbers(100, (0.0, 0.5), alike=0.0),
    Numbers(100, (1.0, 3.0), skewed=True),
    Numbers(60, (5.0, 5.0), alike=0.8),
    Numbers(200, (0.2, 0.2), share=0.05, rounded=0),
    Numbers(60, (1.0, 8.0), skewed=True, rounded=0),
)


@dataclass(frozen=True)
class Texts:
    """Test sets of `size` texts of about `words` words; each prompt has a share of the words right.

    How hard a text is, is common to both: `spread` says how far their shares vary. `lengths` are those of the answers,
    as a share of the reference's.
    """

    size: int
    words: int
    right: tuple[float, float]
    spread: float = 0.15
    lengths: tuple[float, float] = (1.0, 1.0)

    def draw(self, kind: str, size: int, rng: np.random.Generator) -> tuple[Pairs, Pairs]:
        """Return both prompts' counts: of n-grams that are all right where their words are."""
        references = np.maximum(4, rng.poisson(self.words, size))
        hard, sides = rng.normal(0, self.spread, size), []
        for right, length in zip(self.right, self.lengths, strict=True):
            chances = np.clip(right + hard + rng.normal(0, self.spread / 2, size), 0.01, 0.99)
            answered = np.maximum(4, np.round(references * length * rng.uniform(0.9, 1.1, size))).astype(int)
            orders = np.arange(1, 5)
            grams = np.maximum(0, answered[:, None] - orders + 1)
            shared = rng.binomial(np.minimum(grams, references[:, None] - orders + 1), chances[:, None] ** orders)
            if kind == "corpus_bleu":
                counts = np.hstack([answered[:, None], references[:, None], shared, grams])
            else:
                wanted = references[:, None] - orders + 1
                counts = np.stack([grams, wanted, shared], axis=2).reshape(size, -1)
            sides.append([("", json.dumps(row)) for row in counts.tolist()])
        return sides[0], sides[1]


TEXTS = (
    Texts(40, 8, (0.5, 0.5)),
    Texts(40, 20, (0.4, 0.7)),
    Texts(100, 12, (0.6, 0.65)),
    Texts(60, 10, (0.3, 0.3), lengths=(0.8, 1.0)),
    Texts(100, 30, (0.7, 0.9), spread=0.3),
    Texts(60, 6, (0.2, 0.4), spread=0.05),
)


def main() -> None:
    """Print the worst of all cases, by statistic."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", action="store_true", help="print each case, too")
    parser.add_argument("--only", nargs="*", help="names of statistics")
    asked = parser.parse_args()
    sys.stdout.write("| statistic | difference: low, high end misses | score: low, high end misses |\n|---|---|---|\n")
    for kind, cases in _all():
        if asked.only and kind not in asked.only:
            continue
        missed = np.array([case(asked.draws, asked.seed + at) for at, case in enumerate(cases)])
        if asked.cases:
            sys.stdout.writelines(f"  case {at}: {np.round(100 * row, 1)}\n" for at, row in enumerate(missed))
        gain_low, gain_high, low, high = (f"{100 * worst:.1f} %" for worst in missed.max(axis=0))
        sys.stdout.write(f"| `{kind}` | {gain_low}, {gain_high} | {low}, {high} |\n")
        sys.stdout.flush()


def _all() -> Iterator[tuple[str, list[Callable[[int, int], np.ndarray]]]]:
    """Yield each statistic's name, and what counts how often its intervals miss, given draws and a seed, by case."""
    for kind in get_args(Kind):
        yield kind, [partial(_missed, case, kind) for case in CASES]
    drawn: list[tuple[Ranking | Corpus, Sequence[Numbers | Texts]]] = [
        *((Ranking(kind), NUMBERS) for kind in ("auc", "pearson", "spearman")),
        (Corpus("corpus_bleu"), TEXTS),
        (Corpus("corpus_chrf", 2.0), TEXTS),
    ]
    for statistic, cases in drawn:
        yield statistic.kind, [partial(_missed_drawn, case, statistic) for case in cases]


def _missed_drawn(case: Numbers | Texts, statistic: Ranking | Corpus, draws: int, seed: int) -> np.ndarray:
    """Return the shares of draws that each end missed; see `_missed`."""
    rng, population, missed = np.random.default_rng(seed), Population(statistic), np.zeros(4)
    first, second = (statistic.of(side) for side in case.draw(statistic.kind, MANY, rng))
    for _ in range(draws):
        before, after = ([Score(0.0, pair=pair) for pair in side] for side in case.draw(statistic.kind, case.size, rng))
        gain_low, gain_high = population.difference(after, before)[1]
        low, high = population.interval(after)
        missed += [gain_low > second - first, gain_high < second - first, low > second, high < second]
    return missed / draws


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
