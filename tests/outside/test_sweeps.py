"""The sweep files: each names strategies that there are, and tasks that the script writes."""

from __future__ import annotations

import pytest
from support.sweeps import check_sweep_file

from experiments.outside.tasks import BENCHMARKS, SEEDS


@pytest.mark.parametrize(
    ("name", "cells"), [("capo", 36), ("langprobe", 36), ("gepa", 26), ("gsm8k", 12), ("program", 6)]
)
def test_each_cell_is_a_run_on_the_split_of_its_seed(name: str, cells: int) -> None:
    check_sweep_file(f"outside/{name}.yaml", cells, BENCHMARKS, SEEDS)
