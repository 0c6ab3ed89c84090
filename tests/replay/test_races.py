from __future__ import annotations

import pytest

from experiments.replay.generator import drawn
from experiments.replay.races import raced, summary
from experiments.replay.rivals import Halving, Uniform
from experiments.replay.tables import Table

from .conftest import SEED


def test_evaluating_all_saves_and_misses_nothing(table: Table) -> None:
    found = [raced(drawn(table, seed, 0, 40), seed, Uniform(), 6) for seed in range(SEED, SEED + 5)]
    for one in found:
        assert one.saved == pytest.approx(0)
        assert one.missed == pytest.approx(0)
        assert one.lost == pytest.approx(one.lost_anyway)
    assert summary(found).startswith("0.0 % | 100.0 % | ")


def test_halving_saves_what_its_rungs_say(table: Table) -> None:
    """8 entrants over 8 blocks: 8, 4, 2, 2, 1, 1, 1, 1 of 64."""
    found = raced(drawn(table, SEED, 0, 80), SEED, Halving(), 8)
    assert found.saved == pytest.approx(1 - 20 / 64)
