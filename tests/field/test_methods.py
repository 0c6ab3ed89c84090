from __future__ import annotations

import importlib
import importlib.util

import pytest

from experiments.field.methods import BUDGET, FRESH_SEEDS, LARGER, METHODS, REQUIRED, SMALL, grid, required


def test_the_required_grid_is_what_the_field_promises() -> None:
    cells = [cell for cell in grid() if required(cell)]
    assert len(cells) == 4 * 7 * 2 + 2 * 3
    assert {cell.n for cell in cells} == {100}
    assert {cell.budget for cell in cells} == {BUDGET}


def test_no_cell_is_played_twice() -> None:
    keys = [cell.key for cell in grid()]
    assert len(keys) == len(set(keys))


def test_the_first_seed_of_what_is_required_comes_first() -> None:
    first = list(grid())[: 4 * len(REQUIRED)]
    assert all(required(cell) and cell.seed == 0 and cell.model == SMALL for cell in first)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_there(name: str) -> None:
    method = METHODS[name]
    if importlib.util.find_spec(method.package) is None:
        pytest.skip(f"{method.package} is not installed")
    module, _, function = method.place.partition(":")
    assert callable(getattr(importlib.import_module(f"experiments.field.{module}"), function))


def test_what_begins_with_a_useless_instruction_is_of_one_format_and_not_of_the_usual_grid() -> None:
    bare = [cell for cell in grid() if cell.setting != "usual"]
    assert len(bare) == 2 * (2 * 3 + 2 * 2)
    assert {(cell.variant, cell.budget, cell.model) for cell in bare} == {("turns", 250, LARGER)}
    assert not any(required(cell) for cell in bare)


def test_fresh_seeds_are_played_by_ours_and_its_nearest_rivals() -> None:
    fresh = [cell for cell in grid() if cell.seed in FRESH_SEEDS]
    assert len(fresh) == 2 * 3 * 4
    assert {cell.method for cell in fresh} == {"ours", "nearest-8", "bootstrap"}
    assert not any(required(cell) for cell in fresh)
