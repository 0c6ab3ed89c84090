"""The field's sweep files: each names strategies that there are, and tasks that the script writes."""

from __future__ import annotations

import pytest
from support.sweeps import check_sweep_file

from experiments.field.tasks import SEEDS, TASKS


@pytest.mark.parametrize(("name", "cells"), [("field", 62), ("turns", 96), ("seeds", 16), ("kept", 3)])
def test_each_cell_is_a_run_on_the_split_of_its_seed(name: str, cells: int) -> None:
    check_sweep_file(f"field/{name}.yaml", cells, TASKS, SEEDS)
