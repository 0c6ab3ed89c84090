"""What sweeps over the field came to, as Markdown: `python -m experiments.field.report PATH … [--ours METHOD]`.

A path is a sweep's folder, or a file that `experiments/cells.py` made. The seeds of a task are taken together
(`experiments/pooled.py`), and each task counts alike in a mean. `--kept METHOD` adds the older lines of a method from
results.jsonl, of the tasks and seeds that were played; their examples are those of the tasks in `--tasks`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from experiments.cells import finished_in
from experiments.field.kept import RESULTS, only, read_lines
from experiments.pooled import Run, ahead, gain_text, over_tasks, run_of, score, score_text, table
from optimizer.evaluate.statistics import difference
from optimizer.task.load import load_task

SMALL, BUDGET = "local/smollm2-135m", 200
ENOUGH = 8  # searches, before their optimism is told


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


def kept_runs(method: str, played: Sequence[Run], tasks: Path) -> list[Run]:
    """Return a method's kept lines as runs, of what is among those `played`; the tasks' folders lie in `tasks`."""
    known = {(run.task, run.split) for run in played}
    found = []
    for line in only(read_lines(RESULTS), method=method, model=SMALL, budget=BUDGET, setting="usual"):
        if (line["task"], str(line["seed"])) in known and line["scores"] is not None:
            task = load_task(tasks / f"{line['task']}-{line['seed']}")
            scores = dict(zip([example.id for example in task.test], line["scores"], strict=True))
            calls, seconds = sum(line["calls"].values()), sum(line["seconds"].values())
            name = f"{method} ({line['variant']}), kept"
            found.append(Run(task.name, name, str(line["seed"]), {}, scores, "", calls, seconds))
    return found


def _seeds(runs: Sequence[Run]) -> str:
    return " ".join(sorted({run.split for run in runs}))


def _optimism(runs: Sequence[Run]) -> list[str]:
    """Return by how much the scores that searches gave their winners differ from those of the test."""
    pairs = [(run.believed, fmean(run.winner.values())) for run in runs if run.believed is not None and run.winner]
    if len(pairs) < ENOUGH:
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
    parser.add_argument("--kept", action="append", default=[], help="a method of results.jsonl, such as nearest-8")
    parser.add_argument("--tasks", type=Path, default=Path("runs/field/tasks"), help="where the tasks were written")
    chosen = parser.parse_args()
    runs = [run_of(cell) for path in chosen.paths for cell in finished_in(path)]
    if not runs:
        parser.error("no cell is finished")
    runs += [run for method in chosen.kept for run in kept_runs(method, runs, chosen.tasks)]
    if chosen.ours is not None and all(run.method != chosen.ours for run in runs):
        parser.error(f"--ours: no cell of {chosen.ours!r}; there are {sorted({run.method for run in runs})}")
    print(report(runs, chosen.ours))


if __name__ == "__main__":
    main()
