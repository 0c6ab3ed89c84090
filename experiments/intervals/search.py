"""The worst distributions that can be found for the intervals of the verdict and of `metier check`. See the README."""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np

from optimizer.evaluate.bounded import mean_interval
from optimizer.evaluate.statistics import binomial
from optimizer.testing.distributions import Found, Goal, Method, errors_of, worst

SIZES = (20, 30, 40, 60, 100, 150, 200, 300)
# By the name of what is scored: how many kinds of examples, their values (None: any), and the interval.
CASES: dict[str, tuple[int, tuple[float, ...] | None, Method]] = {}
DRAWS = 200_000


def of_zeros_and_ones(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `binomial`'s interval of the mean of -1 and 1."""
    ends = np.array([binomial(right, wrong + right) for wrong, right in counts])
    return 2 * ends[:, 0] - 1, 2 * ends[:, 1] - 1


CASES["a score, 0 or 1"] = (2, (-1.0, 1.0), of_zeros_and_ones)
CASES["a difference of scores of 0 and 1"] = (3, (-1.0, 0.0, 1.0), mean_interval)
CASES |= {f"graded, {kinds} kinds": (kinds, None, mean_interval) for kinds in (2, 3, 4)}


def searches(only: str) -> Iterator[tuple[Goal, str, int, int]]:
    """Yield what to search for next, for ever: each goal, case and size in turn, with another seed in each round."""
    cases = [case for case in CASES if only in case]
    for seed in itertools.count():
        for n, case, goal in itertools.product(SIZES, cases, get_args(Goal)):
            if goal == "missed" or case != "a score, 0 or 1":
                yield goal, case, n, seed


def confirmed(found: Found, case: str) -> Found:
    """Return what was found with its errors computed, or counted in many fresh draws: it was chosen by the others."""
    if found.errors.exact:
        return found
    return Found(found.n, found.distribution, errors_of(found.distribution, found.n, CASES[case][2], 1, DRAWS))


def badness(found: Found, goal: Goal) -> float:
    """Return how bad it is: how often the interval misses, or says that there is a gain."""
    return found.errors.improved if goal == "improved" else 1 - found.errors.coverage


def main() -> None:
    """Search for so many minutes, and print the worst of each case, and where it was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="processor time")
    parser.add_argument("--rounds", type=int, default=8, help="generations of each evolution")
    parser.add_argument("--only", default="", help="those cases that have this in their name")
    parser.add_argument("--known", type=Path, help="a JSON file of the worst so far: read, and written anew")
    options = parser.parse_args()
    known: dict[str, dict[str, object]] = {}
    if options.known and options.known.is_file():
        known = json.loads(options.known.read_text())
    runs = 0
    for goal, case, n, seed in searches(options.only):
        if time.process_time() > 60 * options.minutes:
            break
        kinds, values, method = CASES[case]
        found = worst(goal, n, kinds, values=values, method=method, rounds=options.rounds, seed=seed)
        runs += 1
        before = known.get(f"{goal}: {case}")
        if before is None or badness(found, goal) > float(str(before["share"])):
            found = confirmed(found, case)
            if before is None or badness(found, goal) > float(str(before["share"])):
                share, ends = badness(found, goal), max(found.errors.above, found.errors.below)
                entry = {"share": share, "end": ends, "n": n, "distribution": str(found.distribution)}
                known[f"{goal}: {case}"] = entry
                print(f"{goal}: {case}, {n} examples: {share:.2%}, {found.distribution}", flush=True)
                if options.known:
                    options.known.write_text(json.dumps(known, indent=1))
    print(f"\n{runs} searches, {time.process_time() / 60:.0f} minutes of one processor\n")
    print("| interval | is wrong by | in | of samples of | where examples are worth |\n|---|---|---|---|---|")
    for name, entry in sorted(known.items()):
        goal, case = name.split(": ", 1)
        what = "lying above 0 at mean 0" if goal == "improved" else "missing the mean"
        print(f"| {case} | {what} | {float(str(entry['share'])):.2%} | {entry['n']} | {entry['distribution']} |")


if __name__ == "__main__":
    main()
