"""The MLflow run that stands for a sweep: its cells' runs are its children, their trials its grandchildren."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optimizer.system.mlflow_client import why
from optimizer.track.connect import connect
from optimizer.track.content import Point, milliseconds, short
from optimizer.track.writer import Writer

SWEEP, MARK = "metier.sweep", "metier.mark"


@dataclass(frozen=True)
class SweepEntry:
    """What MLflow is told of a sweep: `status` in its own words, times in seconds since 1970."""

    status: str
    ended: float
    params: Mapping[str, Any]
    figures: Mapping[str, float]
    files: Mapping[str, str] = field(default_factory=dict)


def parent_of(writer: Writer, sweep: Mapping[str, Any]) -> str:
    """Return the id of a sweep's run, made if it is not there; raises what MLflow raises.

    Of two that cells make at once the older one stays, and each deletes only what it made itself.
    """
    known = writer.runs(SWEEP, sweep["id"], SWEEP, MARK)
    if not known:
        tags = {SWEEP: str(sweep["id"])}
        made = writer.client.create_run(writer.experiment, tags=tags, run_name=str(sweep["name"])).info.run_id
        known = writer.runs(SWEEP, sweep["id"], SWEEP, MARK)
        if known and known[0].run_id != made:
            writer.client.delete_run(made)
    return known[0].run_id


def write_sweep(uri: str, experiment: str, sweep: Mapping[str, Any], entry: SweepEntry) -> str:
    """Write how a sweep ended into its run; returns what went wrong, "" if nothing did."""
    try:
        writer = Writer(*connect(uri, experiment))
        run_id = parent_of(writer, sweep)
        at = milliseconds(entry.ended)
        known = writer.client.get_run(run_id).data.params
        # A parameter cannot be changed, and a sweep grows: its keys' values are a tag, too.
        params = {name: text for name, text in short(entry.params).items() if name not in known}
        writer.points(run_id, [Point(name, value, at) for name, value in entry.figures.items()], params)
        writer.files(run_id, entry.files)
        writer.tags(run_id, {f"matrix.{name}": text for name, text in short(entry.params).items()})
        writer.client.set_terminated(run_id, entry.status, end_time=at)
    except Exception as problem:  # noqa: BLE001 - MLflow and its client raise what they like; the sweep is over
        return why(problem) or type(problem).__name__
    return ""
