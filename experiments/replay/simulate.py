"""Plays searches on the recorded tables, and on larger ones drawn from them; prints tables with intervals."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.replay.generator import drawn, likeness, sampled
from experiments.replay.hindsight import KNOWN, Judged, judged
from experiments.replay.methods import METHODS, OURS
from experiments.replay.play import Played
from experiments.replay.races import Raced, raced, summary
from experiments.replay.rivals import Halving, PairedT, Uniform, WilcoxonPrune
from experiments.replay.tables import FOLDER, Table, load_all
from experiments.replay.worlds import World, replayed
from optimizer.search.race import Race

DRAWS = 4_000
BUDGETS = (6.25, 25.0)
SIZES = (16, 40, 80, 160, 450)


@dataclass(frozen=True)
class Job:
    """One replay: a method on a world of a task, drawn by the seed."""

    method: str
    task: str
    kind: str
    evaluations: float
    seed: int
    candidates: int = 0
    examples: int = 0


@dataclass(frozen=True)
class Found:
    """What came of a replay, scores in [0, 1]."""

    job: Job
    regret: float
    optimism: float
    luckiest: float
    calls: int
    trials: int


def main() -> None:
    """Run one of the questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question", choices=["regret", "optimism", "race", "likeness", "bound", "hindsight"])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the first seed, for seeds that nothing was chosen on")
    parser.add_argument("--kind", choices=["table", "drawn"], default="table")
    parser.add_argument("--candidates", type=int, default=0, help="of a drawn world; 0: the whole space")
    parser.add_argument("--examples", type=int, default=100, help="of a drawn world")
    parser.add_argument("--entrants", type=int, default=12, help="of a race")
    parser.add_argument("--evaluations", type=float, nargs="+", default=list(BUDGETS), help="budgets, as full ones")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--tables", type=Path, default=FOLDER)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path("runs/replay.jsonl"), help="replays that were made are kept")
    options = parser.parse_args()
    tables = {table.task: table for table in load_all(options.tables)}
    questions = {
        "regret": regret,
        "optimism": optimism,
        "race": races,
        "likeness": alike,
        "bound": bound,
        "hindsight": hindsight,
    }
    questions[options.question](options, tables)


def regret(options: argparse.Namespace, tables: dict[str, Table]) -> None:
    """Print each method's regret at each budget, and ours as a share of the best other's."""
    for evaluations in options.evaluations:
        found = played(options, tables, options.kind, evaluations)
        table, names = as_array(found, options.methods, list(tables), options.seeds, "regret", options.first)
        print(
            f"\n{options.kind}, {evaluations:g} full evaluations, {options.seeds} seeds a task: mean regret in points\n"
        )
        print_regret(table, names, list(tables))
        calls, trials = (
            as_array(found, options.methods, list(tables), options.seeds, value, options.first)[0].mean(axis=(1, 2))
            for value in ("calls", "trials")
        )
        told = ", ".join(f"{name} {c:.0f}/{t:.0f}" for name, c, t in zip(names, calls, trials, strict=True))
        print(f"\nmean calls/candidates: {told}")
        if OURS in names:
            print_beside_ours(table, names)


def optimism(options: argparse.Namespace, tables: dict[str, Table]) -> None:
    """Print how far what is reported of the winner lies above its true score, and the plain maximum beside it."""
    kind = "held-out" if options.kind == "table" else options.kind
    for evaluations in options.evaluations:
        found = played(options, tables, kind, evaluations)
        print(f"\n{kind}, {evaluations:g} full evaluations, {options.seeds} seeds a task: reported − true, in points\n")
        print("| method | " + " | ".join(tables) + " | all | plain maximum, all |")
        print("|---" * (len(tables) + 3) + "|")
        for name in options.methods:
            rows = [
                100 * as_array(found, [name], list(tables), options.seeds, value, options.first)[0][0]
                for value in ("optimism", "luckiest")
            ]
            means = " | ".join(f"{row.mean():+.1f}" for row in rows[0])
            print(f"| {name} | {means} | {with_interval(rows[0])} | {with_interval(rows[1])} |")


def races(options: argparse.Namespace, tables: dict[str, Table]) -> None:
    """Print what each race rule saves among random candidates of drawn worlds, and what it loses."""
    rules = {"ours": None, "uniform": Uniform(), "successive halving": Halving(), "CAPO's paired t": PairedT()}
    rules |= {"Wilcoxon pruner": WilcoxonPrune()}
    print(f"{options.seeds} races a task of {options.entrants} candidates × {options.examples} examples\n")
    print("| rule | task | saved | ≤ 2 points below the best of the race | ≤ 2 below the truly best |", end="")
    print(" evaluating all: ≤ 2 below the truly best | mean loss |\n|---|---|---|---|---|---|---|")
    for name, rule in rules.items():
        jobs = [(options.tables, task, seed, rule, options) for task in tables for seed in range(options.seeds)]
        found = list(in_parallel(_race, jobs, options.processes))
        for place, task in enumerate(tables):
            print(f"| {name} | {task} | {summary(found[place * options.seeds : (place + 1) * options.seeds])} |")
        print(f"| {name} | all | {summary(found)} |", flush=True)


def _race(job: tuple[Path, str, int, Race | None, argparse.Namespace]) -> Raced:
    folder, task, seed, rule, options = job
    world = drawn(_tables(folder)[task], seed, options.candidates, options.examples)
    return raced(world, seed, rule, options.entrants)


def alike(options: argparse.Namespace, tables: dict[str, Table]) -> None:
    """Print what a race feels of each table beside what the generator draws for the same candidates."""
    print("| task | | table | generated: median (5 % to 95 %) |\n|---|---|---|---|")
    for name, table in tables.items():
        draws = [
            likeness(sampled(table, table.choices, table.scores.shape[1], np.random.default_rng([seed, 9]), False)[0])
            for seed in range(options.seeds)
        ]
        for key, value in likeness(table.scores).items():
            low, middle, high = np.percentile([draw[key] for draw in draws], [5, 50, 95])
            print(f"| {name} | {key} | {value:.3f} | {middle:.3f} ({low:.3f} to {high:.3f}) |")


def bound(options: argparse.Namespace, tables: dict[str, Table]) -> None:
    """Print the regret of who draws some prompts of a drawn world by chance and is told the truly best of them.

    And of who shows all examples to all prompts and takes the highest mean: what so few examples can tell at all.
    """
    print("| prompts | " + " | ".join(tables) + " | all (95 %) |\n" + "|---" * (len(tables) + 2) + "|")
    seeds = range(options.first, options.first + options.seeds)
    found: dict[str, list[list[float]]] = {}
    for table in tables.values():
        worlds = [drawn(table, seed, options.candidates, options.examples) for seed in seeds]
        for size in SIZES:
            found.setdefault(str(size), []).append([w.truth.max() - best_of(w.truth, size) for w in worlds])
        highest = [w.truth[w.scores.mean(axis=1).argmax()] for w in worlds]
        found.setdefault("all, by means", []).append(
            [w.truth.max() - one for w, one in zip(worlds, highest, strict=True)]
        )
    for name, regrets in found.items():
        rows = 100 * np.array(regrets)
        means = " | ".join(f"{mean:.2f}" for mean in rows.mean(axis=1))
        print(f"| {name} | {means} | {with_interval(rows)} |")


def hindsight(options: argparse.Namespace, tables: dict[str, Table]) -> None:
    """Print what ours lies below the best prompt, and what one would who knows more of how the world was drawn."""
    seeds = range(options.first, options.first + options.seeds)
    for evaluations in options.evaluations:
        jobs = [(options.tables, task, seed, evaluations, options) for task in tables for seed in seeds]
        found = list(in_parallel(_judged, jobs, options.processes))
        print(f"\n{evaluations:g} full evaluations, {options.seeds} seeds a task: points below the best prompt\n")
        print("| chosen | " + " | ".join(tables) + " | all (95 %) |\n" + "|---" * (len(tables) + 2) + "|")
        names = ("by ours", "the best that was tried", "the best that was seen in full", *KNOWN)
        values = np.array([(one.winner, one.tried, one.finished, *one.known) for one in found])
        for name, regrets in zip(names, values.T, strict=True):
            rows = 100 * regrets.reshape(len(tables), options.seeds)
            print(f"| {name} | {' | '.join(f'{mean:.2f}' for mean in rows.mean(axis=1))} | {with_interval(rows)} |")


def _judged(job: tuple[Path, str, int, float, argparse.Namespace]) -> Judged:
    folder, task, seed, evaluations, options = job
    return judged(_tables(folder)[task], seed, evaluations, options.candidates, options.examples)


def best_of(values: np.ndarray, size: int) -> float:
    """Return the expected maximum of `size` of the values, drawn without replacement."""
    from scipy.special import gammaln

    ranks, most = np.arange(size, len(values) + 1), len(values)
    # The chance that all that were drawn are among the lowest so many: C(rank, size) / C(most, size).
    below = gammaln(ranks + 1) - gammaln(ranks - size + 1) - gammaln(most + 1) + gammaln(most - size + 1)
    return float(np.diff(np.exp(below), prepend=0.0) @ np.sort(values)[size - 1 :])


def played(options: argparse.Namespace, tables: dict[str, Table], kind: str, evaluations: float) -> list[Found]:
    """Return every replay that is asked for; those that were made before are read."""
    size = (options.candidates, options.examples) if kind == "drawn" else (0, 0)
    jobs = [
        Job(method, task, kind, evaluations, seed, *size)
        for seed in range(options.first, options.first + options.seeds)
        for task in tables
        for method in options.methods
    ]
    known = {found.job: found for found in _read(options.out)}
    missing = [job for job in jobs if job not in known]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("a", encoding="utf-8") as file:
        for found in in_parallel(played_on(options.tables), missing, options.processes):
            known[found.job] = found
            file.write(
                json.dumps({**asdict(found.job), **{k: v for k, v in asdict(found).items() if k != "job"}}) + "\n"
            )
    return [known[job] for job in jobs]


def played_on(folder: Path) -> Callable[[Job], Found]:
    """Return what plays a job on the tables of a folder; another process can be given it."""
    return partial(play, folder)


def play(folder: Path, job: Job) -> Found:
    """Return what came of one replay."""
    world = world_for(_tables(folder)[job.task], job.kind, job.seed, job.candidates, job.examples)
    ended: Played = METHODS[job.method](world, round(job.evaluations * world.length), job.seed)
    truth = float(world.truth[ended.winner])
    row, mean = ended.plain or (ended.winner, ended.reported)
    luck = mean - float(world.truth[row])
    return Found(job, float(world.truth.max()) - truth, ended.reported - truth, luck, ended.calls, ended.trials)


def world_for(table: Table, kind: str, seed: int, candidates: int = 0, examples: int = 100) -> World:
    """Return a table's world: `table`, `held-out`, or `drawn` with so many candidates and examples."""
    if kind == "drawn":
        return drawn(table, seed, candidates, examples)
    return replayed(table, seed, held_out=kind == "held-out")


@lru_cache(maxsize=1)
def _tables(folder: Path) -> dict[str, Table]:
    return {table.task: table for table in load_all(folder)}


def _read(path: Path) -> Iterator[Found]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            data: dict[str, Any] = json.loads(line)
            job = Job(**{name: data.pop(name) for name in Job.__dataclass_fields__})
            yield Found(job, **data)


def in_parallel(work: Callable[[Any], Any], jobs: Sequence[Any], processes: int) -> Iterable[Any]:
    """Yield what `work` makes of each job, in order."""
    if processes == 1 or len(jobs) < 2:
        yield from map(work, jobs)
        return
    # One process a core: the libraries' own threads, read when these are imported, would be in each other's way.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(work, jobs, chunksize=8)


def as_array(
    found: Sequence[Found], methods: Sequence[str], tasks: Sequence[str], seeds: int, value: str, first: int = 0
) -> tuple[np.ndarray, list[str]]:
    """Return methods × tasks × seeds (from the `first` on) of one value, and the methods' names."""
    places = {(method, task): (i, j) for i, method in enumerate(methods) for j, task in enumerate(tasks)}
    table = np.full((len(methods), len(tasks), seeds), np.nan)
    for one in found:
        if (one.job.method, one.job.task) in places and first <= one.job.seed < first + seeds:
            table[(*places[one.job.method, one.job.task], one.job.seed - first)] = getattr(one, value)
    return table, list(methods)


def print_regret(table: np.ndarray, names: Sequence[str], tasks: Sequence[str]) -> None:
    """Print methods by their mean regret, with a 95 % interval and the mean rank over tasks and seeds."""
    ranks = mean_ranks(table)
    print("| method | " + " | ".join(tasks) + " | all (95 %) | mean rank |")
    print("|---" * (len(tasks) + 3) + "|")
    for place in np.argsort(table.mean(axis=(1, 2))):
        means = " | ".join(f"{100 * mean:.2f}" for mean in table[place].mean(axis=1))
        print(f"| {names[place]} | {means} | {with_interval(100 * table[place])} | {ranks[place]:.2f} |")


def mean_ranks(table: np.ndarray) -> np.ndarray:
    """Return each method's mean rank (1 is the best; ties share), over tasks and seeds."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(table.round(9), axis=0).mean(axis=(1, 2)))


def print_beside_ours(table: np.ndarray, names: Sequence[str]) -> None:
    """Print ours as a share of the best other's regret, and our own in other combinations, less ours, paired."""
    mine = names.index(OURS)
    for place, name in enumerate(names):
        if place != mine and name.startswith("our"):
            print(f"\n{name}, less ours: {with_interval(100 * (table[place] - table[mine]))}")
    if not all(name.startswith("our") for name in names):
        point, low, high, best = ratio(table, names)
        print(f"\nours / best other ({best}): {point:.2f} (95 % {low:.2f} to {high:.2f})")


def ratio(table: np.ndarray, names: Sequence[str], ours: str = OURS) -> tuple[float, float, float, str]:
    """Return our mean regret over the best other method's, a bootstrap interval over seeds, and its name.

    Which other is the best is settled in every resample. What is our own in another combination (its name begins
    with `our`) is no other method.
    """
    mine = names.index(ours)
    others = [place for place, name in enumerate(names) if not name.startswith("our")]
    means = table.mean(axis=1)
    picks = np.random.default_rng(0).integers(means.shape[1], size=(DRAWS, means.shape[1]))
    again = np.stack([row[picks].mean(axis=1) for row in means])
    shares = again[mine] / np.maximum(again[others].min(axis=0), 1e-12)
    best = min(others, key=lambda place: float(means[place].mean()))
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(means[mine].mean() / max(means[best].mean(), 1e-12)), float(low), float(high), names[best]


def with_interval(values: np.ndarray) -> str:
    """Return the mean of tasks × seeds and its 95 % bootstrap interval over seeds."""
    by_seed = values.mean(axis=0)
    picks = np.random.default_rng(0).integers(len(by_seed), size=(DRAWS, len(by_seed)))
    low, high = np.percentile(by_seed[picks].mean(axis=1), [2.5, 97.5])
    return f"{by_seed.mean():.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
