"""What an ask takes of the sampler's own time, when 200 and when 2,000 trials are known. See the README."""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

from optuna.trial import FixedTrial
from worlds import KINDS, World, observation

from optimizer.search.candidates import rows_of
from optimizer.search.features import Features
from optimizer.search.sampler import Asked, Sampler
from optimizer.search.space import Space


def asks(space: Space, world: World, strategy: str, trials: int, count: int) -> list[tuple[float, float]]:
    """Return seconds on the clock and of the processor for each of `count` asks after `trials` tells."""
    sampler, features = Sampler(space, strategy, 0, 0, world.embed), Features(space)
    rows = rows_of(space, "predict").all()
    known = set()
    for row in rows[:: max(1, len(rows) // trials)][:trials]:
        candidate = space.suggest(FixedTrial(features.params(row)))
        sampler.tell(Asked(candidate), observation(world.answers(candidate, 0, 20)))
        known.add(candidate.id)
    found = []
    for _ in range(count):
        clock, processor = time.perf_counter(), time.process_time()
        asked = sampler.ask(known)
        found.append((time.perf_counter() - clock, time.process_time() - processor))
        known.add(asked.candidate.id)
        sampler.tell(asked, observation(world.answers(asked.candidate, 0, 20)))
    return found


def main() -> None:
    """Print medians and maxima."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--asks", type=int, default=12)
    parser.add_argument("--strategies", default="default,tpe")
    options = parser.parse_args()
    world = World(KINDS["interacting"], 0)
    wide = replace(world.space, demos=world.space.demos.model_copy(update={"counts": (0, 2, 4, 6, 8, 12, 16)}))
    for strategy in options.strategies.split(","):
        for trials in (200, 2000):
            found = asks(wide, world, strategy, trials, options.asks)
            clock, processor = ([1000 * pair[side] for pair in found] for side in (0, 1))
            figures = [
                f"{figure:.0f}" for side in (clock, processor) for figure in (statistics.median(side), max(side))
            ]
            print(f"| {strategy} | {trials} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
