"""The results that the field's own runner left behind: results.jsonl, and tried.jsonl of earlier searches.

`python -m experiments.field.kept` prints them as tables: for each setting, model and number of calls the test scores by
method and task, with how many seeds were played. `--results FILE` reads another file. Each line is a cell: a method
(`variant` says whether in the library's own format or in `turns`) on a task with a seed, its test scores in the order
of the task's test, what it took, and the versions with which it was played. The newest line of a cell counts.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from experiments.jsonl import read
from optimizer.evaluate.statistics import mean

RESULTS = Path(__file__).with_name("results.jsonl")
KEY = ("task", "method", "variant", "model", "budget", "seed", "n", "setting")
TABLE = ("setting", "model", "budget")
Line = dict[str, Any]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    lines = read_lines(parser.parse_args().results)
    for setting, model, budget in dict.fromkeys(tuple(line[key] for key in TABLE) for line in lines):
        print(f"### {setting}, {model}, {budget} calls\n")
        print(table(only(lines, setting=setting, model=model, budget=budget)))


def read_lines(path: Path) -> list[Line]:
    """Return the lines of results, the newest of each cell only."""
    return list({tuple(line[key] for key in KEY): line for line in read(path)}.values())


def only(lines: Iterable[Line], **wanted: Any) -> list[Line]:
    """Return the lines that have all these values."""
    return [line for line in lines if all(line[name] == value for name, value in wanted.items())]


def table(lines: Sequence[Line]) -> str:
    """Return points by method and task, each the mean over its seeds; intervals are in the README's tables."""
    tasks, methods = (list(dict.fromkeys(line[key] for line in lines)) for key in ("task", "method"))
    out = [_row(["method", *tasks]), "|" + "---|" * (len(tasks) + 1)]
    for method in methods:
        mine = only(lines, method=method)
        for variant in dict.fromkeys(line["variant"] for line in mine):
            cells = [_cell(only(mine, variant=variant, task=task)) for task in tasks]
            out.append(_row([f"{method} ({variant})", *cells]))
    return "\n".join(out) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(lines: Sequence[Line]) -> str:
    played = [line for line in lines if line["scores"] is not None]
    if not played:
        return "failed" if lines else "not run"
    seeds = " ".join(str(line["seed"]) for line in played)
    score = mean([line["score"] for line in played])
    failed = f", {len(lines) - len(played)} failed" if len(played) < len(lines) else ""
    return f"{100 * score:.1f} (seeds {seeds}{failed})"


if __name__ == "__main__":
    main()
