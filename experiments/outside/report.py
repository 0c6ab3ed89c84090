"""What sweeps over the outside benchmarks came to, as Markdown: `python -m experiments.outside.report SWEEP_DIR …`.

The figures are those of the sweeps' own ledgers. A benchmark's seeds have other splits, so its test examples are pooled
over the seeds: one that several seeds test counts once, with its mean.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import yaml

from optimizer.config.presets import INSTRUCTIONS
from optimizer.evaluate.statistics import Interval, binomial, difference, interval
from optimizer.sweep.ledger import CellRecord
from optimizer.sweep.results import Results, outcome, value_text

PUBLISHED = Path(__file__).with_name("published.yaml")
IMPROVED = "improved"
NONE = "–"

# What each test example scored, by its id.
Scores = Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """One finished cell: what its seed and its winner scored on the test, and what the search took."""

    task: str
    method: str
    split: str
    seed: Scores
    winner: Scores
    verdict: str
    calls: float
    seconds: float

    @property
    def recommended(self) -> Scores:
        """The scores of the prompt that the run recommends: the winner's if it is surely better, else the seed's."""
        return self.winner if self.verdict == IMPROVED else self.seed


class Estimate(NamedTuple):
    """A score or a difference with its 95 % interval."""

    mean: float
    ci95: Interval


def run_of(record: CellRecord) -> Run:
    """Return a finished cell as a run; answers that never came are left out."""
    told = outcome(record)
    seed, winner = ({k: v[side] for k, v in told["test"].items() if v[side] is not None} for side in (0, 1))
    split = str(record.cell.values.get("seed", ""))
    method = method_of(record.cell.values)
    return Run(told["task"], method, split, seed, winner, told["verdict"], told["asked"], told["seconds"])


def method_of(values: Mapping[str, Any]) -> str:
    """Return a cell's method: its strategy, and what else its search section says but with which prompts it begins."""
    search = values.get("search") or {"strategy": values.get("search.strategy", "default")}
    options = {key: value for key, value in search.get("options", {}).items() if key != "initial_prompts"}
    others = {key: value for key, value in search.items() if key != "options"}
    return value_text({**others, "options": options} if options else others)


def untuned(runs: Sequence[Run]) -> dict[tuple[str, str], Scores]:
    """Return what the best prompt that nobody tuned scored, by task and split.

    It is the better, on the test, of two: the task's own, and the one of its authors' that was the best on validation.
    So it has the advantage of a choice by the test, and no search has.
    """
    known: dict[tuple[str, str], list[Scores]] = defaultdict(list)
    for run in runs:
        known[run.task, run.split].append(run.seed)
        if run.method == INSTRUCTIONS:
            known[run.task, run.split].append(run.winner)
    return {key: max((one for one in each if one), key=mean_of, default={}) for key, each in known.items()}


def mean_of(scores: Scores) -> float:
    """Return the mean over the test examples."""
    return fmean(scores.values())


def score(runs: Iterable[Scores]) -> Estimate | None:
    """Return the mean over the distinct test examples of all splits, and its interval; None without an answer."""
    values = [fmean(each) for each in _by_example(runs).values()]
    return Estimate(fmean(values), interval(values)) if values else None


def gain(pairs: Iterable[tuple[Scores, Scores]]) -> Estimate | None:
    """Return how far the first of each pair is ahead of the second on the same examples, and its interval."""
    ours: list[Scores] = []
    theirs: list[Scores] = []
    for one, other in pairs:
        ours.append({name: value for name, value in one.items() if name in other})
        theirs.append({name: value for name, value in other.items() if name in one})
    a, b = ([fmean(each) for each in _by_example(side).values()] for side in (ours, theirs))
    return Estimate(fmean(a) - fmean(b), difference(a, b)) if a else None


def _by_example(runs: Iterable[Scores]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for name, value in run.items():
            values[name].append(value)
    return values


def below(runs: Sequence[Run], bars: Mapping[tuple[str, str], Scores], of: Callable[[Run], Scores]) -> tuple[int, int]:
    """Return how many of the runs' prompts score less than their task's bar, and of how many.

    Both are the mean over the examples that both answered; a tie is not below.
    """
    fallen = 0
    for run in runs:
        bar, own = bars[run.task, run.split], of(run)
        common = [name for name in own if name in bar]
        fallen += sum(own[name] for name in common) < sum(bar[name] for name in common)
    return fallen, len(runs)


def report(runs: Sequence[Run], published: Mapping[str, Any]) -> str:
    """Return the tables of finished cells, with what others published beside them."""
    bars = untuned(runs)
    tasks, methods = list(dict.fromkeys(run.task for run in runs)), list(dict.fromkeys(run.method for run in runs))
    of: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        of[run.task, run.method].append(run)

    def bar_of(run: Run) -> Scores:
        return bars[run.task, run.split]

    scores = [[name, *(_score(score(run.winner for run in of[task, name])) for task in tasks)] for name in methods]
    best = [_score(score(bar for (name, _), bar in bars.items() if name == task)) for task in tasks]
    gains = [
        [name, *(_gain(gain((run.winner, bar_of(run)) for run in of[task, name])) for task in tasks)]
        for name in methods
    ]
    fallen = []
    for name in methods:
        own = [run for run in runs if run.method == name]
        seeds = {(run.task, run.split): run.seed for run in own}
        sides = [below(own, bars, _winner), below(own, seeds, _winner), below(own, bars, _recommended)]
        calls, seconds = fmean(run.calls for run in own), fmean(run.seconds for run in own)
        fallen.append([name, *map(_share, sides), f"{calls:.0f}", f"{seconds:.0f}"])
    parts = [
        "Scores on the test in percent, with 95 % intervals over test examples, those of all seeds pooled:",
        _table(["method", *tasks], [*scores, ["best untuned prompt", *best]]),
        "Points ahead of the best untuned prompt of the same task and seed, paired on the same test examples:",
        _table(["method", *tasks], gains),
        "Runs whose prompt scores less than an untuned one on the test; calls of a search, seconds of a run:",
        _table(
            ["method", "below the best untuned", "below its own seed", "as recommended, below the best", "calls", "s"],
            fallen,
        ),
    ]
    return "\n\n".join([*parts, *_published(tasks, published)])


def _winner(run: Run) -> Scores:
    return run.winner


def _recommended(run: Run) -> Scores:
    return run.recommended


def _published(tasks: Sequence[str], published: Mapping[str, Any]) -> list[str]:
    rows = []
    for task in tasks:
        for one in published.get(task, []):
            for method, percent in one["methods"].items():
                fallen = one.get("below", {}).get(method)
                ahead = f"{percent - one['untuned']:+.1f}"
                share = _share(fallen) if fallen else NONE
                rows.append([task, method, f"{percent:.1f}", ahead, share, one["model"], one["source"]])
    if not rows:
        return []
    head = ["task", "method", "score", "ahead of the untuned", "runs below it", "model", "source"]
    return ["Published, with other models and budgets: levels do not compare.", _table(head, rows)]


def _score(estimate: Estimate | None) -> str:
    if estimate is None:
        return NONE
    return f"{100 * estimate.mean:.1f} [{100 * estimate.ci95[0]:.0f}, {100 * estimate.ci95[1]:.0f}]"


def _gain(estimate: Estimate | None) -> str:
    if estimate is None:
        return NONE
    return f"{100 * estimate.mean:+.1f} [{100 * estimate.ci95[0]:+.0f}, {100 * estimate.ci95[1]:+.0f}]"


def _share(counted: Sequence[int]) -> str:
    fallen, of = counted
    low, high = binomial(fallen, of)
    return f"{fallen} of {of} [{100 * low:.0f} %, {100 * high:.0f} %]"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print the report of the finished cells of the sweeps, all taken together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweeps", type=Path, nargs="+", metavar="SWEEP_DIR", help="folders of sweeps")
    folders = parser.parse_args().sweeps
    results = [Results.read(folder) for folder in folders]
    runs = [run_of(record) for each in results for record in each.finished]
    unfinished = sum(len(each.cells) - len(each.finished) for each in results)
    print(f"{len(runs)} cells" + (f"; {unfinished} more have no result." if unfinished else "."), end="\n\n")
    if runs:
        print(report(runs, yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
