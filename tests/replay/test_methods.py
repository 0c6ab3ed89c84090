from __future__ import annotations

import pytest

from experiments.replay.methods import METHODS, OURS, product
from experiments.replay.tables import Table
from experiments.replay.worlds import replayed

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
    assert {name for name in METHODS if name.startswith("our")} == {OURS, "our race, TPE", "our race, random"}
