from __future__ import annotations

import pytest

from experiments.replay.methods import METHODS, OURS, PoolSampler, product
from experiments.replay.tables import Table
from experiments.replay.worlds import replayed
from optimizer.search.sampler import Observation

from .conftest import SEED


@pytest.mark.parametrize("name", METHODS)
def test_every_method_plays_within_its_budget(name: str, table: Table) -> None:
    world = replayed(table, SEED)
    played = METHODS[name](world, 200, SEED)
    assert 0 < played.calls <= 200
    assert 0 <= played.winner < len(world.candidates)
    assert 0 <= played.reported <= 1


def test_ours_is_the_product_and_not_a_rival() -> None:
    assert METHODS[OURS] is product
    assert len([name for name in METHODS if not name.startswith("our")]) >= 7


def test_our_sampler_asks_for_what_has_scores_and_learns_of_just_that(table: Table) -> None:
    world = replayed(table, SEED)
    sampler, known = PoolSampler(world, "default", SEED, 8), set[str]()
    for _ in world.candidates:
        asked = sampler.ask(known)
        assert asked.candidate.id not in known
        known.add(asked.candidate.id)
        assert asked.trial is not None
        assert asked.trial.params == world.space.params_of(asked.candidate)
        sampler.tell(asked, Observation(float(world.truth[world.places[asked.candidate.id]]), 0.01, 10))
    assert known == set(world.places)
