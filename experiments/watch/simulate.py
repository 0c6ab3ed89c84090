"""Simulated years of daily checks by `metier watch`: `python -m experiments.watch.simulate --years 1000`.

A canary has examples of two kinds. Most are always answered alike: their score is 1 with the chance `RIGHT`, else 0. An
`unsure` share of them is answered anew each time, with a chance of being right that is drawn evenly between 0 and 1: a
third of their scores differ between two checks, on average. The run's own test is one more such check. Each check asks
some examples, drawn anew, and the pure statistics of the command see scores and equal answers as they would.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from optimizer.evaluate.drift import Again, Drift, error_at, is_due, odd_one_evidence

RIGHT, YEAR, PATIENCE = 0.85, 365, 60
# Test examples, those of a check, and the share that is unsure.
WORLDS = ((100, 100, 0.0), (100, 100, 0.06), (200, 100, 0.06), (200, 50, 0.06), (200, 100, 1.0))


@dataclass(frozen=True)
class World:
    """A canary of `size` examples, of which `asked` are asked at a check; `drop` of the scores are lost at check `at`.

    At the drop a share of the examples is answered otherwise than before, wrongly: as much of the canary's mean as
    `drop` says, to the nearest example.
    """

    size: int
    asked: int
    unsure: float
    drop: float = 0.0
    at: int = 0


def year(world: World, checks: int, seed: Sequence[int]) -> int | None:
    """Return the check at which one of the three tests raised the alarm; None where none did."""
    rng = np.random.default_rng(seed)
    chances = (rng.random(world.size) < RIGHT).astype(float)
    unsure = rng.random(world.size) < world.unsure
    chances[unsure] = rng.random(int(unsure.sum()))
    reference = rng.random(world.size) < chances
    after = chances.copy()
    after[rng.permutation(np.flatnonzero(chances > 0.5))[: round(world.drop * world.size)]] = 0.0
    scores, answers = Drift(), Drift()
    counts, right_again = np.zeros(world.size), np.zeros(world.size)
    for check in range(1, checks + 1):
        asked = rng.permutation(world.size)[: world.asked]
        right = rng.random(len(asked)) < (after if world.drop and check >= world.at else chances)[asked]
        gaps = right.astype(float) - reference[asked]
        scores, answers = scores.after(gaps.tolist()), answers.after((-np.abs(gaps)).tolist())
        counts[asked] += 1
        right_again[asked] += right
        if scores.fallen or answers.fallen or (is_due(check) and _is_odd(check, reference, counts, right_again)):
            return check
    return None


def _is_odd(check: int, reference: np.ndarray, counts: np.ndarray, right: np.ndarray) -> bool:
    """Tell if the run's own answers are told from the later ones at a check that is due."""
    met = counts > 0
    again = [Again(int(n), float(k), float(n == k)) for n, k in zip(counts[met], right[met], strict=True)]
    return odd_one_evidence(reference[met].astype(float).tolist(), again) >= -math.log(error_at(check))


def alarms(world: World, checks: int, years: int, seed: int, pool: ProcessPoolExecutor) -> list[int | None]:
    """Return the check of the alarm of each of many years."""
    return list(pool.map(partial(year, world, checks), [(seed, n) for n in range(years)], chunksize=8))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--years", type=int, default=1000)
    parser.add_argument("--drops", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    wanted = parser.parse_args()
    with ProcessPoolExecutor(wanted.jobs) as pool:
        print("| test examples | asked | unsure | years with an alarm |\n|---|---|---|---|")
        for size, asked, unsure in WORLDS:
            raised = alarms(World(size, asked, unsure), YEAR, wanted.years, wanted.seed, pool)
            some = sum(one is not None for one in raised)
            print(f"| {size} | {asked} | {unsure:.0%} | {some} of {wanted.years} |", flush=True)
        print("\n| test examples | asked | unsure | drop at check | told within, median | nine in ten | never in 60 |")
        print("|---|---|---|---|---|---|---|")
        for size, asked in ((100, 100), (200, 100), (200, 50)):
            for unsure in (0.0, 0.03, 0.06, 0.15):
                for at in (1, 11, 31, 181):
                    world = World(size, asked, unsure, 0.05, at)
                    raised = alarms(world, at + PATIENCE - 1, wanted.drops, wanted.seed, pool)
                    true = [one for one in raised if one is None or one >= at]
                    delays = [np.inf if one is None else one - at + 1 for one in true]
                    median, most = np.median(delays), np.quantile(delays, 0.9, method="higher")
                    never = sum(one is None for one in true)
                    told = f"{median:.0f} | {most:.0f} | {never} of {len(true)}"
                    print(f"| {size} | {asked} | {unsure:.0%} | {at} | {told} |", flush=True)


if __name__ == "__main__":
    main()
