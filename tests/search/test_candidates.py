from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.search.candidates import MOST, NEAR, candidates, rows_of, without
from optimizer.testing.samplers import Listed, example_space, size_of

RNG = np.random.default_rng


@pytest.mark.parametrize("space", [example_space(), example_space(2, ("turns",), (0,)), example_space(3, counts=(4,))])
def test_every_configuration_is_there_once(space) -> None:  # type: ignore[no-untyped-def]
    rows = rows_of(space, "step0").all()
    assert len(rows) == len({tuple(row) for row in rows}) == size_of(space)


def test_a_small_space_is_weighed_whole() -> None:
    space = example_space(1, ("turns",), (0, 2), names=2)
    parts = [rows_of(space, name) for name in space.pools]
    found = candidates(parts, np.empty((0, 14), dtype=np.intp), RNG(0))
    assert len({tuple(row) for row in found}) == size_of(space) == 81


def test_of_a_large_space_the_kin_of_the_best_is_weighed_too() -> None:
    space = example_space(8, ("turns", "block"), (0, 2, 4), names=3)
    parts = [rows_of(space, name) for name in space.pools]
    best = np.hstack([part[np.array([5, 40])] for part in parts])
    found = candidates(parts, best, RNG(0))
    assert MOST // 2 < len(found) <= MOST
    kin = found[MOST // 2 :]
    for row in kin:
        apart = [
            (row[None, :] != best).sum(axis=1),
            *((row[i : i + 7] != best[:, i : i + 7]).any(1) for i in (0, 7)),
        ]
        assert (apart[0] <= NEAR).any()
        assert min(sum(part[place] for part in apart[1:]) for place in range(2)) <= 1
    for row in found:
        for place, part in enumerate(parts):
            assert (part.all() == row[7 * place : 7 * place + 7]).all(axis=1).any()


@given(st.integers(0, 3), st.integers(0, 10**6))
def test_a_grid_finds_what_a_list_of_its_rows_finds(most: int, place: int) -> None:
    grid = rows_of(example_space(8, ("turns", "block", "json"), (0, 2, 4)), "step0")
    listed = Listed(grid.all())
    row = listed[np.array(place % len(grid))]
    assert grid.near(row, most).tolist() == listed.near(row, most).tolist()
    assert grid[np.array([[place % len(grid)]])].tolist() == [[row.tolist()]]


def test_the_random_ones_follow_the_seed() -> None:
    parts = [rows_of(example_space(8), "step0")] * 3
    none = np.empty((0, 21), dtype=np.intp)
    one, two, other = (candidates(parts, none, RNG(seed)) for seed in (1, 1, 2))
    assert (one == two).all()
    assert (one != other).any()
    assert len(one) == MOST // 2


def test_what_is_known_is_left_out_while_anything_else_is_left() -> None:
    rows = np.arange(12).reshape(4, 3)
    assert without(rows, rows[[1, 3]]).tolist() == rows[[0, 2]].tolist()
    assert without(rows, rows[:0]).tolist() == rows.tolist()
    assert without(rows, rows).tolist() == rows.tolist()
