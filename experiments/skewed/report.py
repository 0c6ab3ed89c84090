"""What searching for macro-F1 gains over searching for right answers: `python -m experiments.skewed.report SWEEP_DIR`.

For each task and seed the macro-F1 of both winners on the same test examples, and the difference with its 95 % interval
(`optimizer/evaluate/aggregate.py`); then the mean over seeds.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import fmean

from experiments.pooled import Estimate, gain_text, table
from experiments.skewed.tasks import LABELS, METRICS
from optimizer.evaluate.aggregate import Population
from optimizer.ledger.answers import answers_of
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import result_of
from optimizer.sweep.configs import CELLS
from optimizer.sweep.results import Results
from optimizer.task.load import load_task
from optimizer.task.metrics.population import Statistic
from optimizer.types import Score

MACRO_F1 = Population(Statistic("macro_f1", tuple(LABELS)))

# What each test example's answer was, by its id: a score with the label that is right and the one that was answered.
Answers = Mapping[str, Score]


@dataclass(frozen=True)
class Pair:
    """The answers of both winners on one task's split: that of right answers, and that of macro-F1."""

    task: str
    seed: int
    right: Answers
    f1: Answers

    def both(self) -> tuple[list[Score], list[Score]]:
        """Return the answers to the examples that both answered: macro-F1's first."""
        common = [name for name in self.f1 if name in self.right]
        return [self.f1[name] for name in common], [self.right[name] for name in common]

    def gain(self) -> Estimate:
        """Return the difference of the two macro-F1, with its interval."""
        return Estimate(*MACRO_F1.difference(*self.both()))


def over_seeds(pairs: Sequence[Pair]) -> Estimate:
    """Return the mean of the seeds' differences, with an interval.

    Two seeds are taken to depend on each other as much as they share examples; the distances to the ends add up as
    squares (MOVER for correlated estimates: Zou, Psychological Methods 12, 2007).
    """
    gains = [pair.gain() for pair in pairs]
    mean = fmean(gain.mean for gain in gains)
    shared = [[_overlap(one, other) for other in pairs] for one in pairs]

    def distance(end: int) -> float:
        away = [abs(gain.mean - gain.ci95[end]) for gain in gains]
        products = (
            share * a * b for a, row in zip(away, shared, strict=True) for b, share in zip(away, row, strict=True)
        )
        return sqrt(sum(products)) / len(pairs)

    return Estimate(mean, (mean - distance(0), mean + distance(1)))


def _overlap(one: Pair, other: Pair) -> float:
    """Return the share of the examples that both test."""
    return len({*one.f1} & {*other.f1}) / max(len(one.f1), len(other.f1))


def answers_in(cell: Path, task: str) -> Answers:
    """Return what the winner of a finished cell answered to the test of its task."""
    loaded = load_task(task)
    (field,) = loaded.outputs
    truth = {example.id: str(example.outputs[field]) for example in loaded.test}
    with closing(Reader(cell / "ledger.db")) as ledger:
        report = result_of(ledger)
        assert report is not None, f"{cell} is not finished"
        told = answers_of(ledger, report.winner.candidate.id, "test")
    pairs = {one.example: (truth[one.example], str(one.fields.get(field, ""))) for one in told if one.value is not None}
    return {name: Score(float(pair[0] == pair[1]), pair=pair) for name, pair in pairs.items()}


def pairs_of(sweep: Path) -> list[Pair]:
    """Return the splits of a sweep of which both cells are finished."""
    found: dict[tuple[str, int], dict[str, Answers]] = defaultdict(dict)
    for record in Results.read(sweep).finished:
        path = str(record.cell.values["task"])
        task, metric, seed = Path(path).name.split("-")
        found[task, int(seed)][metric] = answers_in(sweep / CELLS / record.cell.name, path)
    return [Pair(*key, *(of[name] for name in METRICS)) for key, of in found.items() if {*of} == {*METRICS}]


def report(pairs: Sequence[Pair]) -> str:
    """Return a table of the differences, by task and seed and over the seeds."""
    rows = []
    for task in dict.fromkeys(pair.task for pair in pairs):
        own = [pair for pair in pairs if pair.task == task]
        for pair in own:
            scores = [f"{100 * MACRO_F1.score(side):.1f}" for side in reversed(pair.both())]
            rows.append([task, str(pair.seed), *scores, gain_text(pair.gain())])
        scores = [f"{100 * fmean(MACRO_F1.score(pair.both()[side]) for pair in own):.1f}" for side in (1, 0)]
        rows.append([task, "all", *scores, gain_text(over_seeds(own))])
    head = ["task", "seed", "macro-F1 of the winner by right answers", "by macro-F1", "points gained"]
    return table(head, rows)


def main() -> None:
    """Print the table of a sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, metavar="SWEEP_DIR")
    print(report(pairs_of(parser.parse_args().sweep)))


if __name__ == "__main__":
    main()
