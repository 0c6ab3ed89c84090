"""What sweeps over the outside benchmarks came to, as Markdown: `python -m experiments.outside.report PATH …`.

A path is a sweep's folder, or a file that `experiments/cells.py` made. The seeds of a benchmark are taken together
(`experiments/pooled.py`).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from experiments.cells import finished_in
from experiments.pooled import NONE, Run, Scores, gain, gain_text, mean_of, run_of, score, score_text, table
from optimizer.config.presets import INSTRUCTIONS
from optimizer.evaluate.statistics import binomial

PUBLISHED = Path(__file__).with_name("published.yaml")
IMPROVED = "improved"


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


def recommended(run: Run) -> Scores:
    """Return the scores of the prompt that a run recommends: the winner's if it is surely better, else the seed's."""
    return run.winner if run.verdict == IMPROVED else run.seed


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

    scores = [[name, *(score_text(score(run.winner for run in of[task, name])) for task in tasks)] for name in methods]
    best = [score_text(score(bar for (name, _), bar in bars.items() if name == task)) for task in tasks]
    gains = [
        [name, *(gain_text(gain((run.winner, bar_of(run)) for run in of[task, name])) for task in tasks)]
        for name in methods
    ]
    fallen = []
    for name in methods:
        own = [run for run in runs if run.method == name]
        seeds = {(run.task, run.split): run.seed for run in own}
        sides = [below(own, bars, _winner), below(own, seeds, _winner), below(own, bars, recommended)]
        calls, seconds = fmean(run.calls for run in own), fmean(run.seconds for run in own)
        fallen.append([name, *map(_share, sides), f"{calls:.0f}", f"{seconds:.0f}"])
    parts = [
        "Scores on the test in percent, with 95 % intervals over test examples, those of all seeds pooled:",
        table(["method", *tasks], [*scores, ["best untuned prompt", *best]]),
        "Points ahead of the best untuned prompt of the same task and seed, paired on the same test examples:",
        table(["method", *tasks], gains),
        "Runs whose prompt scores less than an untuned one on the test; calls of a search, seconds of a run:",
        table(
            ["method", "below the best untuned", "below its own seed", "as recommended, below the best", "calls", "s"],
            fallen,
        ),
    ]
    return "\n\n".join([*parts, *_published(tasks, published)])


def _winner(run: Run) -> Scores:
    return run.winner


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
    return ["Published, with other models and budgets: levels do not compare.", table(head, rows)]


def _share(counted: Sequence[int]) -> str:
    fallen, of = counted
    low, high = binomial(fallen, of)
    return f"{fallen} of {of} [{100 * low:.0f} %, {100 * high:.0f} %]"


def main() -> None:
    """Print the report of the finished cells of the paths, all taken together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "paths", type=Path, nargs="+", metavar="PATH", help="folders of sweeps, or files of their cells"
    )
    runs = [run_of(cell) for path in parser.parse_args().paths for cell in finished_in(path)]
    print(f"{len(runs)} cells.", end="\n\n")
    if runs:
        print(report(runs, yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
