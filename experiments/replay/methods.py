"""Every method that is compared, by name: (world, budget in calls, seed) → how it ended."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial

from experiments.replay import schedules
from experiments.replay.play import Played, play_search
from experiments.replay.rivals import Halving, PairedT, PoolRandom, PoolTPE, Uniform, WilcoxonPrune
from experiments.replay.worlds import World
from optimizer.config.schema import Budget, RunConfig
from optimizer.run import round_sizes
from optimizer.search.race import Race
from optimizer.search.sampler import Sampler

Method = Callable[[World, int, int], Played]


def product(world: World, budget: int, seed: int, strategy: str = "default", race: Race | None = None) -> Played:
    """Play the product as it is shipped, but for the number of trials: the budget alone ends it."""
    config = RunConfig(task="replay", budget=Budget(calls=budget), seed=seed)
    sampler = Sampler(world.space, strategy, seed, next(sizes(config, world)) - 1)
    return play_search(world, budget, sampler, race, sizes(config, world), config.search.block, len(world.candidates))


def sizes(config: RunConfig, world: World) -> Iterator[int]:
    """Yield the sizes of the product's rounds for this budget."""
    return round_sizes(config)


def looped(
    sampler: Callable[[World, int], PoolRandom], race: Race | None, rounds: tuple[int, ...], block: int = 10
) -> Method:
    """Return a method that plays the product's loop with another sampler or race; the last round size recurs."""

    def play(world: World, budget: int, seed: int) -> Played:
        plan = itertools.chain(rounds, itertools.repeat(rounds[-1]))
        return play_search(world, budget, sampler(world, seed), race, plan, block, len(world.candidates))

    return play


def halving_rounds(world: World, budget: int, seed: int) -> Played:
    """Play the product's loop with successive halving: each round is one bracket of 16."""
    return looped(PoolRandom, Halving(), (16,))(world, budget, seed)


OURS = "ours"
METHODS: dict[str, Method] = {
    OURS: product,
    "our race, TPE": looped(PoolTPE, None, (12, 4)),
    "our race, random": looped(PoolRandom, None, (12, 4)),
    "random + uniform": looped(PoolRandom, Uniform(), (1,)),
    "TPE + uniform": looped(PoolTPE, Uniform(), (1,)),
    "TPE + MIPROv2's schedule": schedules.mipro,
    "TPE + MIPROv2's schedule, full every 5": partial(schedules.mipro, every=5),
    "random + successive halving": schedules.halving,
    "random + successive halving, rounds of 16": halving_rounds,
    "TPE + successive halving, rounds of 16": looped(PoolTPE, Halving(), (16,)),
    "random + CAPO's paired t": looped(PoolRandom, PairedT(), (10,)),
    "TPE + CAPO's paired t": looped(PoolTPE, PairedT(), (10,)),
    "TPE + Wilcoxon pruner": looped(PoolTPE, WilcoxonPrune(), (1,), block=5),
    "HbBoPs-like": schedules.hbbops,
}
