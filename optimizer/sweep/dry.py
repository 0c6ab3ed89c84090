"""`metier sweep --dry`: lists the cells that would be played, with a forecast. No call, no folder, no file is made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from optimizer.config.schema import RunConfig
from optimizer.errors import LedgerError
from optimizer.forecast.forecast import Forecast, Range
from optimizer.forecast.lengths import forecast_by_length
from optimizer.job.dry import same_embedding
from optimizer.models.prices import prices_of
from optimizer.prompt.program import Programs
from optimizer.search.ensembles import ensemble_size
from optimizer.search.schedule import make_schedule
from optimizer.sweep.cells import Cell
from optimizer.sweep.configs import Checks, checked_configs
from optimizer.sweep.ledger import FILE, SweepReader
from optimizer.sweep.plan import added, current_spec, planned
from optimizer.sweep.run import cells_at_once, sweep_folder
from optimizer.sweep.share import Share
from optimizer.sweep.spec import Spec, read_spec
from optimizer.system.files import is_file, is_folder
from optimizer.task.program import calls_each
from optimizer.task.task import Task
from optimizer.types import canonical_json


def dry_sweep(source: Path, folder: Path | None = None, additions: Sequence[str] = ()) -> str:
    """Return what would be played, for the screen. Raises MetierError, as `play_sweep` would before it begins."""
    home = sweep_folder(source, folder)
    spec, records, budget = None if is_folder(source) else read_spec(source), [], None
    if is_file(home / FILE):
        with closing(SweepReader(home)) as ledger:
            spec, records, budget = current_spec(ledger, spec), ledger.cells(), ledger.meta("budget")
    if spec is None:
        raise LedgerError(f"{source}: no sweep lies here", f"Name a sweep's YAML file, or a folder with a {FILE}.")
    spec = added(spec, additions)
    plan = planned(spec, home, records, budget)
    parts = {one.cell.name: one.share for one in records} | {cell.name: share for cell, share in plan.new}
    finished = {one.cell.name for one in records if one.state == "finished"}
    cells = [one.cell for one in records if one.cell.name in plan.configs] + [cell for cell, _ in plan.new]
    left = [cell for cell in cells if cell.name not in finished]
    return "\n".join(_lines(spec, home, left, parts, len(finished)))


def _lines(spec: Spec, home: Path, cells: Sequence[Cell], parts: Mapping[str, Share], finished: int) -> list[str]:
    checks, known, forecasts = Checks(), dict[str, Forecast](), list[Forecast]()
    configs = checked_configs(spec, cells, home, parts, checks)
    at_once = "as many as the cluster has processors"
    if spec.sweep.parallel or spec.sweep.where == "local":
        at_once = str(spec.sweep.parallel or cells_at_once(configs.values()))
    done = f", {finished:,} more are finished" if finished else ""
    lines = [f"{len(cells):,} cells would be played{done}, {at_once} at a time, in {home}. Nothing was sent."]
    width = max((len(cell.name) for cell in cells), default=0)
    for cell in cells:
        config = configs[cell.name]
        key = _alike(config)
        known[key] = known.get(key) or _forecast(config, checks.task(config))
        forecasts.append(known[key])
        lines.append(f"  {cell.name:{width}}  {_text(known[key])}{_share_text(parts[cell.name])}")
    if forecasts:
        lines.append(f"In all: {_text(_sum(forecasts))}")
        lines += [f"  assumed: {one}" for one in dict.fromkeys(one for f in forecasts for one in f.assumed)]
    return lines


def _alike(config: RunConfig) -> str:
    """Return what a forecast depends on: seeds are alike."""
    return canonical_json(config.model_dump(mode="json", exclude={"seed", "run_dir", "tracking", "cache"}))


def _forecast(config: RunConfig, task: Task) -> Forecast:
    schedule = make_schedule(task.validation, config, task.outputs, calls_each(task), ensemble_size(config, task))
    programs = Programs(task, task.train, same_embedding)
    return asyncio.run(forecast_by_length(config, programs, schedule, prices_of(config)))


def _text(forecast: Forecast) -> str:
    searched = forecast.calls.above(forecast.test_calls)
    usd = "dollars not known" if forecast.usd is None else forecast.usd.text("$")
    return f"{searched.text()} calls in the search, {forecast.test_calls:,} in the test, {usd}"


def _share_text(share: Share) -> str:
    if not share:
        return ""
    figures = [f"${amount:,.2f}" if name == "usd" else f"{amount:,g} {name}" for name, amount in share.items()]
    return f" (its share: {', '.join(figures)})"


def _sum(forecasts: Sequence[Forecast]) -> Forecast:
    calls, tokens = (sum((getattr(f, name) for f in forecasts), Range(0, 0, 0)) for name in ("calls", "tokens"))
    dollars = [forecast.usd for forecast in forecasts]
    usd = None if None in dollars else sum((one for one in dollars if one is not None), Range(0, 0, 0))
    return Forecast(calls, tokens, usd, None, (), sum(forecast.test_calls for forecast in forecasts))
