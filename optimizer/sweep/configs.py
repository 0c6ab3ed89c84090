"""The config of each cell, validated before anything is played: all that is wrong is told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optimizer.config.load import with_value
from optimizer.config.schema import RunConfig
from optimizer.config.strict import validate
from optimizer.errors import ConfigError, MetierError
from optimizer.job.folder import mlflow_uri
from optimizer.job.refusals import refuse_unfit
from optimizer.job.resume import hide_keys
from optimizer.job.window import load_task_of
from optimizer.models.fleet import foreseen
from optimizer.models.prices import prices_of
from optimizer.search.schedule import refuse_few
from optimizer.sweep.cells import Cell
from optimizer.sweep.schema import OWN
from optimizer.sweep.share import Share, limited
from optimizer.sweep.spec import Spec
from optimizer.task.program import calls_each
from optimizer.task.task import Task
from optimizer.types import canonical_json

# Problems that are told of many.
SHOWN = 10
CELLS = "cells"


def config_of(spec: Spec, cell: Cell, folder: Path, share: Share | None = None) -> RunConfig:
    """Return the config of a cell's run, in its folder within the sweep's; with the limits of its share, if known.

    Cells share the user's cache of answers, and one experiment of MLflow's that is named after the sweep's folder,
    unless the run's own file says otherwise. Raises ConfigError.
    """
    data: dict[str, Any] = {key: value for key, value in spec.base.items() if key not in OWN}
    for key, value in cell.values.items():
        data = with_value(data, key.split("."), value, f"matrix.{key}")
    data["cache"] = _over({"shared": True}, data.get("cache"))
    tracking = data.get("tracking")
    if not isinstance(tracking, Mapping) or tracking.get("mlflow", {}) is not None:
        inner = tracking.get("mlflow") if isinstance(tracking, Mapping) else None
        data["tracking"] = _over({}, tracking) | {"mlflow": _over({"experiment": folder.resolve().name}, inner)}
    data["run_dir"] = str(folder / CELLS / cell.name)
    config = _validated(data)
    if share is not None:
        config = _validated({**data, "budget": limited(config, share)})
    return config.model_copy(update={"task": spec.task_path(config.task)})


def _over(defaults: Mapping[str, Any], own: object) -> dict[str, Any]:
    """Return a section over defaults; what is no section is left to be refused by whoever validates it."""
    return {**defaults, **own} if isinstance(own, Mapping) else dict(defaults) if own is None else own  # type: ignore[return-value]


def _validated(data: Mapping[str, Any]) -> RunConfig:
    try:
        return validate(RunConfig, data, CELLS, ConfigError)
    except ConfigError as problem:
        # What is wrong is told of the cells, which have no line in a file.
        what = "; ".join(line.removeprefix(f"{CELLS}: ") for line in problem.what.splitlines())
        raise ConfigError(what, problem.remedy) from None


@dataclass
class Problems:
    """What is wrong with which cells."""

    of: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def note(self, cell: Cell, problem: MetierError) -> None:
        """Note a problem of a cell; the same one of several cells is told once."""
        self.of.setdefault((problem.what, problem.remedy), []).append(cell.name)

    def refuse(self, source: str, count: int) -> None:
        """Raise ConfigError with all problems, if there is any."""
        if not self.of:
            return
        wrong = len({name for names in self.of.values() for name in names})
        lines = [f"{source}: {wrong} of {count} cells cannot be played, so none is"]
        for (what, _), names in [*self.of.items()][:SHOWN]:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            lines.append(f"  {names[0]}{more}: {what}")
        if len(self.of) > SHOWN:
            lines.append(f"  and {len(self.of) - SHOWN} more problems")
        remedies = dict.fromkeys(remedy for _, remedy in self.of if remedy)
        raise ConfigError("\n".join(lines), next(iter(remedies), ""))


@dataclass
class Checks:
    """Checks cells as their runs would check themselves; what many cells share is looked at once."""

    tasks: dict[str, Task | MetierError] = field(default_factory=dict)
    done: dict[str, MetierError | None] = field(default_factory=dict)

    def check(self, config: RunConfig) -> Task:
        """Return a cell's task; raises MetierError for what its run would be refused for."""
        task = self.task(config)
        refuse_unfit(config, task)
        refuse_few(config, calls_each(task))
        self._once(f"models {canonical_json(config.models.model_dump(mode='json'))}", lambda: foreseen(config.models))
        if config.budget.usd is not None:
            key = f"prices {canonical_json(config.models.model_dump(mode='json'))}"
            self._once(key, lambda: prices_of(config))
        where = config.tracking.mlflow
        if where is not None and where.uri is not None:
            key = f"mlflow {where.uri} {canonical_json(config.privacy.model_dump(mode='json'))}"
            self._once(key, lambda: mlflow_uri(config, Path(config.run_dir or ".")))
        return task

    def task(self, config: RunConfig) -> Task:
        """Return a cell's task, read once for all cells; raises MetierError."""
        if config.task not in self.tasks:
            try:
                self.tasks[config.task] = load_task_of(config)
            except MetierError as problem:
                self.tasks[config.task] = problem
        task = self.tasks[config.task]
        if isinstance(task, MetierError):
            raise task
        return task

    def _once(self, key: str, look: Callable[[], object]) -> None:
        if key not in self.done:
            try:
                look()
                self.done[key] = None
            except MetierError as problem:
                self.done[key] = problem
        if (known := self.done[key]) is not None:
            raise known


def checked_configs(
    spec: Spec,
    cells: Sequence[Cell],
    folder: Path,
    shares: Mapping[str, Share] | None = None,
    checks: Checks | None = None,
) -> dict[str, RunConfig]:
    """Return the config of each cell by its name; raises ConfigError with all that is wrong with any of them.

    `shares` are what they may spend, once it is known; `checks` may have looked at other cells before.
    """
    problems, configs, checks = Problems(), dict[str, RunConfig](), checks or Checks()
    for cell in cells:
        try:
            config = config_of(spec, cell, folder, None if shares is None else shares[cell.name])
            hide_keys(config)
            checks.check(config)
            configs[cell.name] = config
        except MetierError as problem:
            problems.note(cell, problem)
    problems.refuse(spec.source, len(cells))
    return configs
