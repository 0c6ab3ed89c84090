"""What a sweep is made of before anything is played: its cells, their configs, and what each may spend."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from optimizer.config.schema import RunConfig
from optimizer.config.strict import validate
from optimizer.config.yamlfile import flaw_of, parse_yaml
from optimizer.door.budget import refuse_past
from optimizer.errors import ConfigError, LedgerError, did_you_mean
from optimizer.sweep.cells import Cell, Matrix, combinations, named, same
from optimizer.sweep.configs import Checks, checked_configs
from optimizer.sweep.ledger import SPEC, CellRecord, SweepReader
from optimizer.sweep.schema import SweepConfig, keys_of
from optimizer.sweep.share import LIMITS, Held, Share, shares
from optimizer.sweep.spec import Spec
from optimizer.types import canonical_json


@dataclass
class Planned:
    """A sweep that is ready to be played: its cells' configs by name, and the shares of new cells."""

    spec: Spec
    configs: dict[str, RunConfig]
    new: list[tuple[Cell, Share]] = field(default_factory=list)
    changed: dict[int, Share] = field(default_factory=dict)


def current_spec(ledger: SweepReader, spec: Spec | None) -> Spec:
    """Return what the sweep is now: as its file says, else as its folder does; raises LedgerError for another sweep."""
    known = ledger.meta(SPEC)
    if known is None:
        if spec is None:
            raise LedgerError(f"{ledger.path.parent}: this sweep never began", "Name its YAML file.")
        return spec
    if spec is None:
        return Spec.from_json(known)
    was, now = known["base"], spec.to_json()["base"]
    if canonical_json(was) != canonical_json(now):
        keys = ", ".join(sorted(key for key in {*was, *now} if not same(was.get(key), now.get(key))))
        what = f"{ledger.path.parent}: this sweep was begun with another run (its base differs in {keys})"
        raise LedgerError(what, "Undo the change, or give another --folder.")
    if _keys(known["sweep"]["matrix"]) != _keys(spec.sweep.matrix):
        was, now = ", ".join(known["sweep"]["matrix"]), ", ".join(spec.sweep.matrix)
        what = f"{ledger.path.parent}: this sweep's matrix has other keys: {was}, not {now}"
        raise LedgerError(what, "Undo the change, or give another --folder. More values of a key may be added.")
    return spec


def _keys(matrix: Iterable[str]) -> set[str]:
    return {one for key in matrix for one in keys_of(key)}


def added(spec: Spec, additions: Sequence[str]) -> Spec:
    """Return a sweep with more values of its matrix's keys, as KEY=VALUE; one that is there is not added again."""
    matrix = {key: list(values) for key, values in spec.sweep.matrix.items()}
    for addition in additions:
        key, separator, text = addition.partition("=")
        if not separator:
            raise ConfigError(f"{addition}: not of the form KEY=VALUE", "Example: seed=3")
        if key not in matrix:
            what = f"{addition}: '{key}' is no key of the matrix, so the cells that are there have no value of it"
            raise ConfigError(what, f"In '{key}': {did_you_mean(key, matrix)}")
        try:
            value = parse_yaml(text)
        except yaml.YAMLError as problem:
            raise ConfigError(f"{addition}: the value is not valid YAML ({flaw_of(problem)})", "Quote it.") from None
        if not any(same(value, known) for known in matrix[key]):
            matrix[key].append(value)
    data = spec.sweep.model_dump() | {"matrix": matrix}
    return replace(spec, sweep=validate(SweepConfig, data, spec.source, ConfigError))


def planned(spec: Spec, home: Path, records: Sequence[CellRecord], budget: Mapping[str, Any] | None = None) -> Planned:
    """Return a sweep's cells with what each may spend; all configs are validated. Raises ConfigError.

    `records` are the cells that are there already, planned under this `budget`.
    """
    if not records:
        refuse_past(spec.sweep.budget, time.time())
    matrix: Matrix = spec.sweep.matrix
    cells = named(combinations(matrix, spec.sweep.exclude), {one.cell.key: one.cell.name for one in records})
    checks, known = Checks(), {one.cell.name: one for one in records}
    configs = checked_configs(spec, cells, home, checks=checks)
    new = [cell for cell in cells if cell.name not in known]
    parts = {one.cell.name: one.share for one in records}
    if records and budget is not None and _limits(budget) != _limits(spec.sweep.budget.model_dump()):
        parts |= _shared_anew(spec, configs, records)
    held = [_held(one, parts[one.cell.name]) for one in records]
    parts |= shares(spec.sweep.budget, {cell.name: configs[cell.name] for cell in new}, held)
    checked_configs(spec, cells, home, parts, checks)
    changed = {one.id: parts[one.cell.name] for one in records if parts[one.cell.name] != one.share}
    return Planned(spec, configs, [(cell, parts[cell.name]) for cell in new], changed)


def _limits(budget: Mapping[str, Any]) -> list[Any]:
    return [budget.get(limit) for limit in LIMITS]


def _held(record: CellRecord, share: Share) -> Held:
    return Held(share, None if record.outcome is None else record.outcome["spent"])


def _shared_anew(spec: Spec, configs: Mapping[str, RunConfig], records: Sequence[CellRecord]) -> dict[str, Share]:
    """Return the shares of cells that are not finished, after the sweep's budget was changed.

    What a cell has that was begun is never lowered: its run goes on only with as much or more.
    """
    budget = spec.sweep.budget
    unfinished = [one for one in records if one.outcome is None and one.cell.name in configs]
    finished = [Held({}, one.outcome["spent"]) for one in records if one.outcome is not None]
    equal = shares(budget, {one.cell.name: configs[one.cell.name] for one in unfinished}, finished)
    begun = [one for one in unfinished if one.plays]
    if all(_covers(equal[one.cell.name], one.share) for one in begun):
        return equal
    held = [*finished, *(Held({}, one.share) for one in begun)]
    rest = {one.cell.name: configs[one.cell.name] for one in unfinished if not one.plays}
    return shares(budget, rest, held)


def _covers(share: Share, other: Share) -> bool:
    """Tell if a share is as much as another in each limit that is still there."""
    return all(amount >= other.get(name, 0.0) for name, amount in share.items())
