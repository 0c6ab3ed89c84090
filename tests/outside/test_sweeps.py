"""The sweep files: each names strategies that there are, and tasks that the script writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.outside.tasks import BENCHMARKS, SEEDS
from optimizer.config.schema import RunConfig
from optimizer.config.strict import validate
from optimizer.config.yamlfile import read_yaml
from optimizer.errors import ConfigError
from optimizer.sweep.cells import combinations
from optimizer.sweep.schema import load_sweep

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "cells"), [("capo", 36), ("langprobe", 36), ("gepa", 26), ("gsm8k", 12), ("program", 6)]
)
def test_each_cell_is_a_run_on_the_split_of_its_seed(name: str, cells: int) -> None:
    sweep = load_sweep(ROOT / "experiments" / "outside" / f"{name}.yaml")
    base = read_yaml(ROOT / sweep.base, ConfigError)
    rows = combinations(sweep.matrix, sweep.exclude)
    assert len(rows) == cells
    for row in rows:
        models = {**base["models"], "prompt": row.get("models.prompt")}
        data = {**base, "search": row["search"], "models": models, "seed": row["seed"]}
        config = validate(RunConfig, data, name, ConfigError)
        assert config.budget.calls is not None
        task, _, seed = Path(row["task"]).name.rpartition("-")
        assert task in BENCHMARKS
        assert int(seed) == row["seed"] in SEEDS
