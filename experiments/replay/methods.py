"""Every method that is compared, by name: (world, budget in calls, seed) → how it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from optuna.trial import FixedTrial

from experiments.replay import schedules
from experiments.replay.play import Played, examples_of, play_search
from experiments.replay.rivals import Halving, PairedT, Planned, PoolRandom, PoolTPE, Uniform, WilcoxonPrune
from experiments.replay.tables import Choice
from experiments.replay.worlds import Snapped, World, in_turn, nearest
from optimizer.config.schema import BudgetConfig, Prior, RunConfig, SearchConfig
from optimizer.search.bayes import BayesianSampler, Model
from optimizer.search.race import Race
from optimizer.search.sampler import Sampler, Strategy
from optimizer.search.schedule import LEAST_LATER, Schedule, make_schedule
from optimizer.search.space import Space
from optimizer.testing.samplers import Listed
from optimizer.types import Candidate

Method = Callable[[World, int, int], Played]
USUAL = SearchConfig().prior
NEAREST = Choice(0, "turns", "nearest", 8, "given", 0)
# Wrong with the tables' model: it follows `block` badly (not on agnews), and fixed demos do less than retrieved ones.
WRONG = Prior(formats={"turns": -0.1, "block": 0.1}, policies={"static": 0.1})


def product(
    world: World,
    budget: int,
    seed: int,
    prior: Prior | None = USUAL,
    formats: Sequence[str] | None = None,
    turns: bool = True,
    race: Race | None = None,
    later: int | None = None,
    sampler: Callable[[World, int], PoolRandom] | None = None,
    play: Callable[..., Any] = play_search,
) -> Any:
    """Return what `play` makes of the product as it is shipped: the budget ends it.

    Embeddings are left out: the tables do not hold the texts of demos. `prior`, `formats` (their order), `turns`
    (labels come in turn), `race`, `later` (the candidates of a later round) and `sampler` are for what else could be
    shipped; None is what is.
    """
    config = RunConfig(task="replay", budget=BudgetConfig(calls=budget), seed=seed)
    space = replace(world.space, prior=prior, formats=formats or world.space.formats)
    schedule = make_schedule(examples_of(world), config)
    world = in_turn(world, seed) if turns else world
    if race is not None:
        schedule = replace(schedule, race=race, doubling=False)
    if later is not None:
        schedule = replace(schedule, later=later)
    if sampler is not None:
        return play(world, budget, sampler(world, seed), schedule, len(world.candidates))
    ours = PoolSampler(replace(world, space=space), config.search.strategy, seed, schedule.first - 1)
    return play(world, budget, ours, schedule, len(world.candidates))


class PoolSampler(Sampler):
    """The product's sampler, kept to the candidates of a world that have scores."""

    def __init__(
        self,
        world: World,
        strategy: str,
        seed: int,
        startup: int,
        believed: Sequence[dict[str, Any] | Candidate] = (),
    ) -> None:
        whole = not isinstance(world.space, Snapped)
        named = strategy if whole or strategy != "default" else _over(world)
        super().__init__(world.space, named, seed, startup, believed=believed)
        if not whole:
            found = [
                one if isinstance(one, Candidate) else world.space.suggest(FixedTrial(one)) for one in self._planned
            ]
            distinct = {one.id: one for one in found}.values()
            self._planned = [one if one.together > 1 else _params(world, one.id) for one in distinct]


def _over(world: World) -> Strategy:
    """Return our strategy, which weighs the world's candidates where it would weigh the whole space."""
    sampler = BayesianSampler(world.space)
    model = sampler._model = Model(world.space, None)
    model.parts = [Listed(model.features.encode([_params(world, cid) for cid in world.places]))]

    def at(space: Space, seed: int) -> BayesianSampler:
        sampler.seed = seed
        return sampler

    return at


def _params(world: World, candidate: str) -> dict[str, Any]:
    params = world.space.params_of(world.candidates[world.places[candidate]])
    assert params is not None, candidate
    return params


def looped(sampler: Callable[[World, int], PoolRandom], race: Race, rounds: tuple[int, int], block: int = 10) -> Method:
    """Return a method that plays the product's loop with another sampler or race; the second round size recurs."""

    def play(world: World, budget: int, seed: int) -> Played:
        schedule = Schedule(examples_of(world), race, block, *rounds)
        return play_search(world, budget, sampler(world, seed), schedule, len(world.candidates))

    return play


def nearest_demos(world: World, budget: int, seed: int) -> Played:
    """Return the seed's instruction with the eight examples nearest to the input; what is reported is asked for."""
    row, seen = int(nearest((NEAREST,), world.choices)[0]), min(budget, world.length)
    return Played(row, float(world.scores[row, :seen].mean()), seen, 1)


def halving_rounds(world: World, budget: int, seed: int) -> Played:
    """Play the product's loop with successive halving: each round is one bracket of 16."""
    return looped(PoolRandom, Halving(), (16, 16))(world, budget, seed)


OURS = "ours"
METHODS: dict[str, Method] = {
    OURS: product,
    "ours, without the prior": partial(product, prior=None),
    "ours, without the prior, formats in another order": partial(
        product, prior=None, formats=("block", "chat", "json", "xml", "turns")
    ),
    "ours, a wrong prior": partial(product, prior=WRONG),
    "ours, labels at random": partial(product, turns=False),
    "ours, rounds of 4": partial(product, later=LEAST_LATER),
    "our sampler, uniform": partial(product, race=Uniform()),
    "our sampler, successive halving": partial(product, race=Halving()),
    "our sampler, CAPO's paired t": partial(product, race=PairedT()),
    "our sampler, Wilcoxon pruner": partial(product, race=WilcoxonPrune()),
    "our format, 8 nearest demos, no search": nearest_demos,
    "our race, TPE": partial(product, sampler=PoolTPE),
    "our race, random": partial(product, sampler=PoolRandom),
    "our first round, then random, our race": partial(product, sampler=partial(Planned, then=PoolRandom)),
    "our first round, then random + CAPO's paired t": looped(partial(Planned, then=PoolRandom), PairedT(), (10, 10)),
    "our first round, then TPE + CAPO's paired t": looped(partial(Planned, then=PoolTPE), PairedT(), (10, 10)),
    "random + uniform": looped(PoolRandom, Uniform(), (1, 1)),
    "TPE + uniform": looped(PoolTPE, Uniform(), (1, 1)),
    "TPE + MIPROv2's schedule": schedules.mipro,
    "TPE + MIPROv2's schedule, full every 5": partial(schedules.mipro, every=5),
    "random + successive halving": schedules.halving,
    "random + successive halving, rounds of 16": halving_rounds,
    "TPE + successive halving, rounds of 16": looped(PoolTPE, Halving(), (16, 16)),
    "random + CAPO's paired t": looped(PoolRandom, PairedT(), (10, 10)),
    "TPE + CAPO's paired t": looped(PoolTPE, PairedT(), (10, 10)),
    "TPE + Wilcoxon pruner": looped(PoolTPE, WilcoxonPrune(), (1, 1), block=5),
    "HbBoPs-like": schedules.hbbops,
}
