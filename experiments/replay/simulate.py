"""Plays searches on the recorded tables, and on larger ones drawn from them; prints tables with intervals."""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.replay.figures import as_array, best_of, mean_ranks, ratio, truly_apart, with_interval
from experiments.replay.generator import MANNERS, drawn, likeness, manner_of, sampled
from experiments.replay.hindsight import KNOWN, Judged, judged
from experiments.replay.jobs import Found, Job, in_parallel, kept, tables_of
from experiments.replay.methods import METHODS, OURS
from experiments.replay.races import Raced, raced, summary
from experiments.replay.rivals import Halving, PairedT, Uniform, WilcoxonPrune
from experiments.replay.tables import FOLDER, Table, load_all
from optimizer.search.race import Race

BUDGETS = (6.25, 25.0)
SIZES = (16, 40, 80, 160, 450)


def main() -> None:
    """Run one of the questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question", choices=["regret", "optimism", "race", "likeness", "apart", "bound", "hindsight"])
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
        "apart": apart,
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
    rules = {
        "the careful race": None,
        "uniform": Uniform(),
        "successive halving": Halving(),
        "CAPO's paired t": PairedT(),
    }
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
    world = drawn(tables_of(folder)[task], seed, options.candidates, options.examples)
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


def apart(options: argparse.Namespace, tables: dict[str, Table]) -> None:
    """Print how far the true scores of prompts in `turns` lie apart: what is to be gained among those of one manner."""
    print("| task | demos | prompts | means, lowest to highest | sd of means | sd of true scores (95 %) |")
    print("|---" * 6 + "|")
    for (name, table), manner in itertools.product(tables.items(), MANNERS):
        kind = [one.format == "turns" and manner_of(one) == manner for one in table.choices]
        means, truly = 100 * table.scores[kind].mean(axis=1), [100 * sd for sd in truly_apart(table.scores[kind])]
        print(f"| {name} | {manner} | {len(means)} | {means.min():.1f} to {means.max():.1f} ", end="")
        print(f"| {means.std(ddof=1):.1f} | {truly[0]:.1f} ({truly[1]:.1f} to {truly[2]:.1f}) |")


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
    return judged(tables_of(folder)[task], seed, evaluations, options.candidates, options.examples)


def played(options: argparse.Namespace, tables: dict[str, Table], kind: str, evaluations: float) -> list[Found]:
    """Return every replay that is asked for; those that were made before are read."""
    size = (options.candidates, options.examples) if kind == "drawn" else (0, 0)
    jobs = [
        Job(method, task, kind, evaluations, seed, *size)
        for seed in range(options.first, options.first + options.seeds)
        for task in tables
        for method in options.methods
    ]
    return kept(jobs, options.tables, options.out, options.processes)


def print_regret(table: np.ndarray, names: Sequence[str], tasks: Sequence[str]) -> None:
    """Print methods by their mean regret, with a 95 % interval and the mean rank over tasks and seeds."""
    ranks = mean_ranks(table)
    print("| method | " + " | ".join(tasks) + " | all (95 %) | mean rank |")
    print("|---" * (len(tasks) + 3) + "|")
    for place in np.argsort(table.mean(axis=(1, 2))):
        means = " | ".join(f"{100 * mean:.2f}" for mean in table[place].mean(axis=1))
        print(f"| {names[place]} | {means} | {with_interval(100 * table[place])} | {ranks[place]:.2f} |")


def print_beside_ours(table: np.ndarray, names: Sequence[str]) -> None:
    """Print ours as a share of the best other's regret, and our own in other combinations, less ours, paired."""
    mine = names.index(OURS)
    for place, name in enumerate(names):
        if place != mine and name.startswith("our"):
            print(f"\n{name}, less ours: {with_interval(100 * (table[place] - table[mine]))}")
    if not all(name.startswith("our") for name in names):
        point, low, high, best = ratio(table, names)
        print(f"\nours / best other ({best}): {point:.2f} (95 % {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
