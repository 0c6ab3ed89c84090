"""What sweeps over the field came to, as Markdown: `python -m experiments.field.report PATH … [--ours METHOD]`.

A path is a sweep's folder, or a file that `experiments/cells.py` made. The seeds of a task are taken together
(`experiments/pooled.py`), and each task counts alike in a mean.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from experiments.cells import finished_in
from experiments.pooled import Run, ahead, gain_text, over_tasks, run_of, score, score_text, table
from optimizer.evaluate.statistics import difference


def report(runs: Sequence[Run], ours: str | None = None) -> str:
    """Return the tables of runs: scores, and the points by which `ours`, else the first method, is ahead of each."""
    tasks, methods = (list(dict.fromkeys(getattr(run, key) for run in runs)) for key in ("task", "method"))
    ours = ours or methods[0]
    scores, gains = [], []
    for name in methods:
        own = [run for run in runs if run.method == name]
        found = [score(run.winner for run in own if run.task == task) for task in tasks]
        calls, seconds = fmean(run.calls for run in own), fmean(run.seconds for run in own)
        played = [score_text(one) for one in [*found, over_tasks(found)]]
        scores.append([name, *played, _seeds(own), f"{calls:.0f}", f"{seconds:.0f}"])
        if name != ours:
            found = [ahead(runs, ours, name, task) for task in tasks]
            gains.append([name, *(gain_text(one) for one in [*found, over_tasks(found)])])
    parts = [
        "Scores on the test in percent, with 95 % intervals over test examples, those of all seeds pooled:",
        table(["method", *tasks, "mean", "seeds", "calls", "s a cell"], scores),
    ]
    if gains:
        parts += [
            f"Points of {ours} ahead of each, paired by seed and test example:",
            table(["method", *tasks, "mean"], gains),
        ]
    return "\n\n".join([*parts, *_optimism([run for run in runs if run.method == ours])])


def _seeds(runs: Sequence[Run]) -> str:
    return " ".join(sorted({run.split for run in runs}))


def _optimism(runs: Sequence[Run]) -> list[str]:
    """Return by how much the scores that searches gave their winners differ from those of the test."""
    pairs = [(run.believed, fmean(run.winner.values())) for run in runs if run.believed is not None and run.winner]
    if len(pairs) < 2:
        return []
    gaps = [believed - tested for believed, tested in pairs]
    low, high = difference(*zip(*pairs, strict=True))
    return [
        f"What a search gave its winner, less its test score: {100 * fmean(gaps):+.1f} points "
        f"[{100 * low:+.1f}, {100 * high:+.1f}] over {len(gaps)} searches, each from {100 * min(gaps):+.0f} to "
        f"{100 * max(gaps):+.0f}."
    ]


def main() -> None:
    """Print the tables of the finished cells of the paths, all taken together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "paths", type=Path, nargs="+", metavar="PATH", help="folders of sweeps, or files of their cells"
    )
    parser.add_argument("--ours", help="the method that the others are compared with, as the first table names it")
    chosen = parser.parse_args()
    runs = [run_of(cell) for path in chosen.paths for cell in finished_in(path)]
    if not runs:
        parser.error("no cell is finished")
    if chosen.ours is not None and all(run.method != chosen.ours for run in runs):
        parser.error(f"--ours: no cell of {chosen.ours!r}; there are {sorted({run.method for run in runs})}")
    print(report(runs, chosen.ours))


if __name__ == "__main__":
    main()
