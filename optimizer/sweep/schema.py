"""What a sweep's YAML file may say: a run, and the values that its keys take in turn."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from optimizer.config.schema import BudgetConfig
from optimizer.config.strict import Positive, Strict, validate
from optimizer.config.yamlfile import read_yaml
from optimizer.errors import ConfigError
from optimizer.types import canonical_json

# Cells of one sweep. A thousand are played and reported within what `experiments/sweep` measures.
MOST_CELLS = 10_000
# Cells that are played at a time where nobody says how many: this machine serves one local model at a time.
LOCAL_CELLS, PROVIDER_CELLS = 1, 4
# Keys of a run that the sweep itself sets.
OWN = {"run_dir": "each cell has a folder of its own", "notify": "the webhook is told once, at the end of the sweep"}

Values = Annotated[tuple[Any, ...], Field(min_length=1)]


def keys_of(key: str) -> tuple[str, ...]:
    """Return the keys of a run that a matrix's key sets: `task, seed` sets two, each of its values is a row of two."""
    return tuple(part.strip() for part in key.split(","))


class SweepBudget(BudgetConfig):
    """What all cells together may spend; null is no limit. `calls` and `tokens` bound the searches, the others all."""

    calls: Positive | None = Field(None, description="answered calls of all searches; each cell has an equal share")
    tokens: Positive | None = Field(None, description="input and output tokens of all searches")
    usd: float | None = Field(None, gt=0, description="dollars of the whole sweep, the tests included")
    seconds: float | None = Field(None, gt=0, description="of the whole sweep, while a process works on it")


class RayCluster(Strict):
    """A cluster of Ray's, for `where`; it needs the extra metier[ray]."""

    ray: str = Field(description="auto: the cluster of this machine, else a new one on it; or its address, HOST:PORT")


class SweepConfig(Strict):
    """Many runs: the `base`, with one value of each key of the `matrix`."""

    base: str = Field(description="a run's YAML file, a task's folder or task.yaml; taken from the sweep's folder")
    matrix: dict[str, Values] = Field(
        min_length=1,
        description="for each key, as `--set` takes it, the values that it has in turn; also task, seed. What varies "
        "together is one key of several, with rows of values: `task, seed: [[a, 0], [b, 1]]`",
    )
    exclude: tuple[dict[str, Any], ...] = Field(
        (), description="cells that are left out: those that have all values of one of these mappings"
    )
    budget: SweepBudget = SweepBudget()
    parallel: Positive | None = Field(
        None,
        description=f"cells at a time; null: {LOCAL_CELLS} with a local model, else {PROVIDER_CELLS}; on a cluster one "
        "for each processor",
    )
    where: Literal["local"] | RayCluster = Field(
        "local", description="which machines play the cells: local, this one, or {ray: auto}, a cluster's"
    )

    artifacts: str | None = Field(
        None,
        description="where the sweep's folder is kept, too, so that any machine can go on with it: an absolute path or "
        "an address of fsspec's, such as s3://bucket/nights/first; one for each sweep",
    )

    @field_validator("artifacts")
    @classmethod
    def _whole_address(cls, artifacts: str | None) -> str | None:
        if artifacts is not None and "://" not in artifacts and not os.path.isabs(artifacts):
            raise ValueError("write an absolute path, or an address such as s3://bucket/folder")
        if artifacts is not None and "@" in artifacts.partition("://")[2].partition("/")[0]:
            raise ValueError("a password does not belong there; keys are read from the environment")
        return artifacts

    @field_validator("where", mode="before")
    @classmethod
    def _by_address(cls, where: object) -> object:
        if isinstance(where, str) and where.startswith("ray://"):
            return {"ray": where}
        if isinstance(where, str) and where != "local":
            raise ValueError("write local, {ray: auto} or {ray: HOST:PORT}")
        return where

    @field_validator("matrix")
    @classmethod
    def _each_value_once(cls, matrix: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        known: set[str] = set()
        for key, values in matrix.items():
            keys = keys_of(key)
            for one in keys:
                if (first := one.split(".")[0]) in OWN:
                    raise ValueError(f"{one} cannot vary: {OWN[first]}")
                if one in known or not one:
                    raise ValueError(f"{key!r} names {one!r} again" if one else f"{key!r} has a comma too many")
                known.add(one)
            for row in values if len(keys) > 1 else ():
                if not isinstance(row, (list, tuple)) or len(row) != len(keys):
                    raise ValueError(f"{key!r} has the value {row!r:.80}; write a row of {len(keys)} values: [a, b]")
            if len({canonical_json(value) for value in values}) < len(values):
                raise ValueError(f"{key} has a value twice")
        return matrix


def load_sweep(path: str | Path) -> SweepConfig:
    """Read a sweep's YAML file; raises ConfigError with the line and the remedy."""
    return validate(SweepConfig, read_yaml(Path(path), ConfigError), str(path), ConfigError)
