"""The field's sweep files: each names strategies that there are, and tasks that the script writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.field.tasks import SEEDS, TASKS
from optimizer.config.schema import RunConfig
from optimizer.config.strict import validate
from optimizer.config.yamlfile import read_yaml
from optimizer.errors import ConfigError
from optimizer.sweep.cells import combinations
from optimizer.sweep.schema import load_sweep

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("name", "cells"), [("field", 62), ("turns", 96), ("kept", 3)])
def test_each_cell_is_a_run_on_the_split_of_its_seed(name: str, cells: int) -> None:
    sweep = load_sweep(ROOT / "experiments" / "field" / f"{name}.yaml")
    base = read_yaml(ROOT / sweep.base, ConfigError)
    rows = combinations(sweep.matrix, sweep.exclude)
    assert len(rows) == cells
    for row in rows:
        search = row.get("search") or {"strategy": row["search.strategy"]}
        config = validate(RunConfig, {**base, "search": search, "seed": row["seed"]}, name, ConfigError)
        assert config.budget.calls is not None
        task, _, seed = Path(row["task"]).name.rpartition("-")
        assert task in TASKS
        assert int(seed) == row["seed"] in SEEDS
