"""`metier sweep`: begins a sweep, goes on with one, adds to one. Whoever stops it anywhere can go on with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import yaml

from optimizer.config.schema import RunConfig, is_local
from optimizer.config.strict import validate
from optimizer.config.yamlfile import flaw_of, parse_yaml
from optimizer.door.budget import refuse_past
from optimizer.errors import ConfigError, Interrupted, LedgerError, did_you_mean
from optimizer.job.notify import notify
from optimizer.job.signals import cancelled_by_signals
from optimizer.sweep.cells import Cell, Matrix, combinations, named, same
from optimizer.sweep.configs import Checks, checked_configs
from optimizer.sweep.drive import Clock, Drive, Say
from optimizer.sweep.ledger import FILE, CellRecord, SweepLedger, SweepReader
from optimizer.sweep.local import LocalPlayer
from optimizer.sweep.player import Player
from optimizer.sweep.schema import LOCAL_CELLS, PROVIDER_CELLS, RayCluster, SweepConfig
from optimizer.sweep.share import LIMITS, Held, Share, shares
from optimizer.sweep.spec import Spec, read_spec
from optimizer.system.files import is_file, is_folder, output_folder
from optimizer.types import canonical_json

SWEEPS = Path("sweeps")
SPEC = "spec"


@dataclass(frozen=True)
class Ended:
    """How an attempt at a sweep ended: how many cells are finished, failed, and not begun for want of time."""

    folder: Path
    finished: int
    failed: int
    not_begun: int

    @property
    def complete(self) -> bool:
        """Whether every cell is finished."""
        return not self.failed and not self.not_begun

    def body(self) -> dict[str, object]:
        """Return what a webhook is told; `text` is what Slack shows."""
        counts = {"finished": self.finished, "failed": self.failed, "not_begun": self.not_begun}
        words = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count)
        text = f"The sweep in {self.folder} has ended: {words}. See {self.folder / 'report.html'}."
        return {"text": text, "event": "sweep ended", "folder": str(self.folder), **counts}


@dataclass
class Planned:
    """A sweep that is ready to be played: its cells' configs by name, and the shares of new cells."""

    spec: Spec
    configs: dict[str, RunConfig]
    new: list[tuple[Cell, Share]] = field(default_factory=list)
    changed: dict[int, Share] = field(default_factory=dict)


def sweep_folder(source: Path, folder: Path | None = None) -> Path:
    """Return a sweep's folder: the one named, the `source` itself if it is one, else one named after its file."""
    if folder is not None:
        return folder
    return source if is_file(source / FILE) else SWEEPS / source.stem


def play_sweep(
    source: Path,
    folder: Path | None = None,
    additions: Sequence[str] = (),
    parallel: int | None = None,
    say: Say = lambda text: None,
    player: Player | None = None,
) -> Ended:
    """Play all cells that are not finished of the sweep that `source` describes, a file or a sweep's folder.

    `additions` are more values of the matrix's keys, as KEY=VALUE; only what is new is played for them. The report
    is not written here. Raises MetierError: ConfigError before anything is played, LedgerError, Interrupted.
    """
    home = sweep_folder(source, folder)
    spec = None if is_folder(source) else read_spec(source)
    if spec is None and not is_file(home / FILE):
        raise LedgerError(f"{source}: no sweep lies here", f"Name a sweep's YAML file, or a folder with a {FILE}.")
    if spec is not None and not is_file(home / FILE):
        planned(spec, home, [])  # what is wrong is told before a folder is made
    with ExitStack() as stack:
        ledger = stack.enter_context(closing(SweepLedger(output_folder(home))))
        spec = current_spec(ledger, spec)
        spec = added(spec, additions)
        plan = planned(spec, home, ledger.cells(), ledger.meta("budget"))
        _write_down(ledger, plan)
        clock = Clock.of(spec.sweep.budget, ledger)
        player = stack.enter_context(closing(player or make_player(spec.sweep.where)))
        at_once = parallel or spec.sweep.parallel or player.room() or cells_at_once(plan.configs.values())
        say(f"{len(plan.configs):,} cells, {at_once} at a time, in {home}")
        about = {"id": ledger.meta("id"), "name": home.resolve().name}
        played = any(one.state != "finished" for one in ledger.cells() if one.cell.name in plan.configs)
        drive = Drive(ledger, plan.configs, player, at_once, clock, about, say)
        try:
            asyncio.run(_until_stopped(drive))
        except asyncio.CancelledError:
            raise Interrupted("interrupted", f"Go on with `metier sweep {home}`: nothing paid is lost.") from None
        states = [one.state for one in ledger.cells() if one.cell.name in plan.configs]
        finished = states.count("finished")
        ended = Ended(home, finished, len(states) - finished - drive.not_begun, drive.not_begun)
        if played:
            notify(spec.notify, ended.body(), say)
        return ended


async def _until_stopped(drive: Drive) -> None:
    with cancelled_by_signals(_nothing):
        await drive.run()


async def _nothing() -> None:
    """Wait for nothing: each cell's process lets its own calls be answered."""


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
    if set(known["sweep"]["matrix"]) != set(spec.sweep.matrix):
        was, now = ", ".join(known["sweep"]["matrix"]), ", ".join(spec.sweep.matrix)
        what = f"{ledger.path.parent}: this sweep's matrix has other keys: {was}, not {now}"
        raise LedgerError(what, "Undo the change, or give another --folder. More values of a key may be added.")
    return spec


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


def _write_down(ledger: SweepLedger, plan: Planned) -> None:
    if ledger.meta("id") is None:
        ledger.put_meta("id", token_hex(4))
    ledger.add_cells(plan.new)
    ledger.put_shares(plan.changed)
    ledger.put_meta(SPEC, plan.spec.to_json())
    ledger.put_meta("budget", plan.spec.sweep.budget.model_dump(mode="json"))


def make_player(where: str | RayCluster) -> Player:
    """Return who plays a sweep's cells; raises ConfigError where a cluster cannot be had."""
    if isinstance(where, RayCluster):
        from optimizer.sweep.on_ray import RayPlayer

        return RayPlayer(where.ray)
    return LocalPlayer()


def cells_at_once(configs: Any) -> int:
    """Return how many cells are played at a time where nobody says it."""
    names = {model.model for config in configs for model in config.models.by_key.values()}
    return LOCAL_CELLS if any(map(is_local, names)) else PROVIDER_CELLS
