"""Plays the grid, cell by cell, and appends a line for each to results.jsonl; what is there is not played again.

`python -m experiments.field.run --data FOLDER` goes on where it stopped; `--help` tells how to take a part of it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from experiments.field.cell import Cell, Job
from experiments.field.lines import RESULTS, line_key, read_lines
from experiments.field.methods import METHODS, grid, required
from experiments.field.proxy import BudgetProxy
from experiments.field.tasks import make_task, places_of_test
from experiments.jsonl import append
from optimizer.evaluate.statistics import interval, mean
from optimizer.models.reencode import reencoded
from optimizer.models.server import EmbeddedServer
from optimizer.models.store import Store
from optimizer.system.process import environment

ROOT = Path(__file__).parents[2]
PACKAGES = ("dspy", "gepa", "optuna", "promptolution", "xllamacpp")
TRAIN, VALIDATION = 200, 100
SLOTS = 4
FILTERS = (("tasks", str), ("methods", str), ("variants", str), ("models", str), ("seeds", int), ("settings", str))


def main() -> None:
    """Play what is asked for and not there yet."""
    options = parse()
    wanted = [replace(cell, n=options.test) for cell in grid() if chosen(cell, options)]
    if options.budget is not None:
        wanted = list(dict.fromkeys(replace(cell, budget=options.budget) for cell in wanted))
    done = set() if options.again else {line_key(line) for line in read_lines(options.results)}
    left = [cell for cell in wanted if cell.key not in done]
    print(f"{len(left)} of {len(wanted)} cells are to be played", flush=True)
    if options.dry:
        print("\n".join(cell.key for cell in left))
        return
    for model, cells in groupby(left, key=lambda cell: cell.model):
        with served(model, options) as upstream, BudgetProxy(upstream) as proxy:
            for cell in cells:
                line = played(cell, proxy, options)
                append(options.results, line)
                print(told(line), flush=True)


@contextmanager
def served(model: str, options: argparse.Namespace) -> Iterator[str]:
    """Yield the URL of the model: the file that a run serves, unless the command names a server.

    Calls come one by one; the further slots only keep the prefixes of the prompts that a method alternates
    between (DSPy's chat and JSON forms, the prompt model's), which one slot would compute anew each time.
    """
    if options.upstream is not None:
        yield options.upstream
        return
    file = reencoded(Store().pull(model))
    with EmbeddedServer(file, model, slots=SLOTS, log_path=options.work.resolve() / "server.log") as server:
        yield f"{server.address}/v1"


def parse() -> argparse.Namespace:
    """Read the command line; every filter takes several values."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with TASK/train.jsonl and TASK/test.jsonl")
    parser.add_argument("--work", type=Path, default=Path("runs/field"), help="logs and ledgers of the cells")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--required", action="store_true", help="only what must be complete")
    for name, kind in FILTERS:
        parser.add_argument(f"--{name}", nargs="+", type=kind)
    parser.add_argument("--budget", type=int, help="play the chosen cells with this many calls instead")
    parser.add_argument("--test", type=int, default=100, help="test examples")
    parser.add_argument("--limit", type=float, default=7200.0, help="seconds after which a cell is ended")
    parser.add_argument("--upstream", help="the URL, with /v1, of a server that serves the model already")
    parser.add_argument("--again", action="store_true", help="play also what is there; the newest line counts")
    parser.add_argument("--dry", action="store_true", help="only list the cells")
    options = parser.parse_args()
    if options.test != Cell.n and options.results == RESULTS:
        parser.error(f"--test {options.test}: the field's own results are of {Cell.n}; name another file by --results")
    return options


def chosen(cell: Cell, options: argparse.Namespace) -> bool:
    """Tell if a cell passes the filters and what it needs is installed."""
    filters = {name.removesuffix("s"): getattr(options, name) for name, _ in FILTERS}
    if any(values is not None and getattr(cell, name) not in values for name, values in filters.items()):
        return False
    if importlib.util.find_spec(METHODS[cell.method].package) is None:
        print(f"left out, {METHODS[cell.method].package} is not installed: {cell.key}")
        return False
    return required(cell) or not options.required


def played(cell: Cell, proxy: BudgetProxy, options: argparse.Namespace) -> dict[str, Any]:
    """Play one cell in a process of its own and return its line."""
    work = options.work.resolve() / cell.key.replace("/", "_")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    task_dir = make_task(cell.task, options.data, cell.seed, (TRAIN, VALIDATION, cell.n), work / "task", cell.setting)
    job = Job(cell, str(task_dir), str(work), proxy.address)
    job.write(work / "job.json")
    proxy.begin(cell.budget, cell.seed)
    start = time.monotonic()
    outcome = run_child(work, options.limit)
    outcome.setdefault("seconds", {"search": time.monotonic() - start})
    places = places_of_test(cell.task, options.data, task_dir)
    return line_of(cell, outcome, {phase: proxy.spent(phase) for phase in ("search", "test")}, places)


def run_child(work: Path, limit: float) -> dict[str, Any]:
    """Run the cell's process and return its outcome; an error if it died or took too long."""
    command = [sys.executable, "-m", "experiments.field.cell", str(work / "job.json")]
    with (work / "log.txt").open("w", encoding="utf-8") as log:
        try:
            code = subprocess.run(
                command, cwd=ROOT, stdout=log, stderr=log, timeout=limit, check=False, env=environment()
            ).returncode
        except subprocess.TimeoutExpired:
            return {"error": f"not finished after {limit:.0f} s", "where": ""}
    place = work / "outcome.json"
    if not place.exists():
        return {"error": f"its process ended with {code} and no outcome", "where": ""}
    return dict(json.loads(place.read_text(encoding="utf-8")))


def line_of(
    cell: Cell, outcome: dict[str, Any], spent: dict[str, dict[str, dict[str, int]]], places: list[int]
) -> dict[str, Any]:
    """Return a cell's line of results: what it is, its test score and interval, what it took.

    `places` tell which example of the data's test file each of the scores is of.
    """
    scores = outcome.pop("scores", None)
    line: dict[str, Any] = {**asdict(cell), "score": None, "error": outcome.pop("error", None)}
    if scores is not None:
        low, high = interval(scores)
        line |= {"score": round(mean(scores), 4), "ci95": [round(low, 4), round(high, 4)]}
    line |= {"calls": {role: taken["calls"] for role, taken in spent["search"].items()}, "spent": spent}
    line |= {name: value for name, value in outcome.items() if name != "seconds"}
    line["seconds"] = {phase: round(value, 1) for phase, value in outcome["seconds"].items()}
    line["versions"] = versions()
    line["places"] = places
    line["scores"] = None if scores is None else [round(score, 4) for score in scores]
    return line


def versions() -> dict[str, str]:
    """Return the version of each package that is there, and our commit ('+' if the product differs from it)."""
    found = {}
    for name in PACKAGES:
        if importlib.util.find_spec(name) is not None:
            found[name] = importlib.metadata.version(name)
    commit = _git("rev-parse", "--short", "HEAD")
    return {"metier": commit + ("+" if _git("status", "--porcelain", "--", "optimizer") else ""), **found}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def told(line: dict[str, Any]) -> str:
    """Return one cell's line for the terminal."""
    outcome = f"{line['score']:.3f}" if line["error"] is None else f"failed: {line['error'].splitlines()[0]}"
    calls = "+".join(str(count) for count in line["calls"].values())
    return f"{line_key(line)}: {outcome}, {calls} calls, {sum(line['seconds'].values()):.0f} s"


if __name__ == "__main__":
    main()
