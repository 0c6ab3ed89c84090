"""What the sweep files of experiments have in common: each cell is a run on the split of its seed."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from optimizer.config.schema import RunConfig
from optimizer.config.strict import validate
from optimizer.config.yamlfile import read_yaml
from optimizer.errors import ConfigError
from optimizer.sweep.cells import combinations
from optimizer.sweep.schema import load_sweep
from support.jobs import ROOT


def check_sweep_file(file: str, cells: int, tasks: Collection[str], seeds: Collection[int]) -> None:
    """Check a sweep's file below experiments/: so many cells, each with a sound config and a task named TASK-SEED."""
    sweep = load_sweep(ROOT / "experiments" / file)
    base = read_yaml(ROOT / sweep.base, ConfigError)
    rows = combinations(sweep.matrix, sweep.exclude)
    assert len(rows) == cells
    for row in rows:
        search = row.get("search") or {"strategy": row["search.strategy"]}
        models = {**base["models"], "prompt": row.get("models.prompt")}
        data = {**base, "search": search, "models": models, "seed": row["seed"]}
        config = validate(RunConfig, data, file, ConfigError)
        assert config.budget.calls is not None
        task, _, seed = Path(row["task"]).name.rpartition("-")
        assert task in tasks
        assert int(seed) == row["seed"] in seeds
