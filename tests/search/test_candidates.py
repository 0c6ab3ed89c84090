from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.search.candidates import MOST, NEAR, candidates, rows_of, without
from optimizer.search.space import Space
from optimizer.testing.samplers import Listed, example_space, size_of

from .conftest import space

RNG = np.random.default_rng


@pytest.mark.parametrize("over", [example_space(), example_space(2, ("turns",), (0,)), example_space(3, counts=(4,))])
def test_every_configuration_is_there_once(over: Space) -> None:
    rows = rows_of(over, "step0").all()
    assert len(rows) == len({tuple(row) for row in rows}) == size_of(over)


def test_a_small_space_is_weighed_whole() -> None:
    over = example_space(1, ("turns",), (0, 2), names=2)
    parts = [rows_of(over, name) for name in over.pools]
    found = candidates(parts, np.empty((0, 16), dtype=np.intp), RNG(0))
    assert len({tuple(row) for row in found}) == size_of(over) == 81


def test_of_a_large_space_the_kin_of_the_best_is_weighed_too() -> None:
    over = example_space(8, ("turns", "block"), (0, 2, 4), names=3)
    parts = [rows_of(over, name) for name in over.pools]
    best = np.hstack([part[np.array([5, 40])] for part in parts])
    found = candidates(parts, best, RNG(0))
    assert MOST // 2 < len(found) <= MOST
    kin = found[MOST // 2 :]
    for row in kin:
        apart = [
            (row[None, :] != best).sum(axis=1),
            *((row[i : i + 8] != best[:, i : i + 8]).any(1) for i in (0, 8)),
        ]
        assert (apart[0] <= NEAR).any()
        assert min(sum(part[place] for part in apart[1:]) for place in range(2)) <= 1
    for row in found:
        for place, part in enumerate(parts):
            assert (part.all() == row[8 * place : 8 * place + 8]).all(axis=1).any()


@given(st.integers(0, 3), st.integers(0, 10**6))
def test_a_grid_finds_what_a_list_of_its_rows_finds(most: int, place: int) -> None:
    grid = rows_of(example_space(8, ("turns", "block", "json"), (0, 2, 4)), "step0")
    listed = Listed(grid.all())
    row = listed[np.array(place % len(grid))]
    assert grid.near(row, most).tolist() == listed.near(row, most).tolist()
    assert grid[np.array([[place % len(grid)]])].tolist() == [[row.tolist()]]


def test_the_random_ones_follow_the_seed() -> None:
    parts = [rows_of(example_space(8), "step0")] * 3
    none = np.empty((0, 24), dtype=np.intp)
    one, two, other = (candidates(parts, none, RNG(seed)) for seed in (1, 1, 2))
    assert (one == two).all()
    assert (one != other).any()
    assert len(one) == MOST // 2


def test_what_is_known_is_left_out_while_anything_else_is_left() -> None:
    rows = np.arange(12).reshape(4, 3)
    assert without(rows, rows[[1, 3]]).tolist() == rows[[0, 2]].tolist()
    assert without(rows, rows[:0]).tolist() == rows.tolist()
    assert without(rows, rows).tolist() == rows.tolist()


def test_readouts_are_rows_where_the_format_has_a_choice() -> None:
    plain, both = (space(2, ("turns", "chat"), readouts) for readouts in (("generate",), ("generate", "calibrated")))
    before, rows = rows_of(plain, "predict").all(), rows_of(both, "predict").all()
    assert set(before[:, -2]) == {0}
    turns = rows[:, 1] == 0
    assert (set(rows[turns, -2]), set(rows[~turns, -2])) == ({1, 2}, {0})
    assert len(rows) == len({tuple(row) for row in rows}) == len(before) * 3 // 2
    assert {tuple(row[:-2]) for row in rows} == {tuple(row[:-2]) for row in before}


@given(st.integers(0, 3), st.integers(0, 10**6))
def test_a_grid_with_readouts_finds_what_a_list_finds(most: int, place: int) -> None:
    grid = rows_of(space(5, ("turns", "block", "chat"), ("generate", "choose", "calibrated")), "predict")
    listed = Listed(grid.all())
    row = listed[np.array(place % len(grid))]
    assert grid.near(row, most).tolist() == listed.near(row, most).tolist()
