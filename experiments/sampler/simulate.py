"""Which sampler finds good prompts with the fewest answers, on made-up tasks. See the README."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from worlds import KINDS, Kind, World, observation

from optimizer.search.sampler import Asked, Observation, Sampler
from optimizer.types import Candidate

STARTUP, ROUND, BLOCK, FULL = 9, 4, 10, 80
BUDGETS = (150, 300, 600, 1200)


def sampler_of(method: str, world: World, seed: int) -> Sampler:
    """Return one of the methods that are compared."""
    space = replace(world.space, prior=None) if method.endswith(", no prior") else world.space
    embed = None if method == "default, no embeddings" else world.embed
    return Sampler(space, method.split(",")[0], seed, STARTUP, embed)


def play(method: str, kind: Kind, seed: int) -> list[float]:
    """Return the true score of what would be chosen after each of BUDGETS answers.

    A plain race: of a round all see ten examples, the better half of them twenty, and so on, as in successive halving.
    """
    world = World(kind, seed)
    sampler = sampler_of(method, world, seed)
    known: dict[str, tuple[Candidate, Observation]] = {}
    spent, chosen, size = 0, [], STARTUP
    while len(chosen) < len(BUDGETS):
        entrants: list[Asked] = []
        for _ in range(size):
            entrants.append(sampler.ask({*known, *(asked.candidate.id for asked in entrants)}))
        for asked, length in _raced(world, entrants):
            scores = world.answers(asked.candidate, 0, length)
            spent += length
            seen = observation(scores)
            sampler.tell(asked, replace(seen, variance=0.01) if method == "default, equal noise" else seen)
            known[asked.candidate.id] = (asked.candidate, seen)
            if len(chosen) < len(BUDGETS) and spent >= BUDGETS[len(chosen)]:
                chosen.append(world.truth(_pick(known)))
        size = ROUND
    return chosen


def _raced(world: World, entrants: list[Asked]) -> list[tuple[Asked, int]]:
    """Return how many examples each entrant saw."""
    length, seen, running = BLOCK, dict.fromkeys(range(len(entrants)), BLOCK), list(range(len(entrants)))
    while length < FULL and running:
        running.sort(key=lambda place: -world.answers(entrants[place].candidate, 0, length).mean())
        running = running[: -(-len(running) // 2)]
        length = min(FULL, 2 * length)
        seen.update(dict.fromkeys(running, length))
    return [(asked, seen[place]) for place, asked in enumerate(entrants)]


def _pick(known: dict[str, tuple[Candidate, Observation]]) -> Candidate:
    return max(known.values(), key=lambda pair: pair[1].value - pair[1].variance ** 0.5)[0]


def best_of(kind: Kind, seed: int) -> float:
    """Return the best true score of a task, over its whole space."""
    from optuna.trial import FixedTrial

    from optimizer.search.candidates import rows_of
    from optimizer.search.features import Features

    world = World(kind, seed)
    features = Features(world.space)
    rows = rows_of(world.space, "predict").all()
    return max(world.truth(world.space.suggest(FixedTrial(features.params(row)))) for row in rows)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return a 95 % bootstrap interval of the mean."""
    rng, sample = np.random.default_rng(0), np.asarray(values)
    means = sample[rng.integers(len(sample), size=(2000, len(sample)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Print mean regrets by kind of task and method, with 95 % intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--methods", default="default;tpe;random")
    parser.add_argument("--out")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.kinds.split(","):
        bests = [best_of(KINDS[name], seed) for seed in range(options.first, options.first + options.seeds)]
        for method in options.methods.split(";"):
            began = time.process_time()
            found = [play(method, KINDS[name], seed) for seed in range(options.first, options.first + options.seeds)]
            took = (time.process_time() - began) / options.seeds
            regrets = np.array(bests)[:, None] - np.array(found)
            rows.append({"kind": name, "method": method, "regrets": regrets.round(4).tolist()})
            cells = [f"{r.mean():.3f} [{interval(r)[0]:.3f}, {interval(r)[1]:.3f}]" for r in regrets.T]
            print(f"| {name} | {method} | {' | '.join(cells)} | {took:.1f} s", flush=True)
    if options.out:
        with open(options.out, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


if __name__ == "__main__":
    main()
