"""`metier sweep`: begins a sweep, goes on with one, adds to one. Whoever stops it anywhere can go on with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from optimizer.config.models import is_local
from optimizer.errors import Interrupted, LedgerError
from optimizer.job.notify import notify
from optimizer.job.signals import cancelled_by_signals
from optimizer.sweep.artifacts import Artifacts, address_of, artifacts_of
from optimizer.sweep.drive import Clock, Drive, Say
from optimizer.sweep.ledger import FILE, SPEC, SweepLedger
from optimizer.sweep.local import LocalPlayer
from optimizer.sweep.plan import Planned, added, current_spec, planned
from optimizer.sweep.player import Player
from optimizer.sweep.schema import LOCAL_CELLS, PROVIDER_CELLS, RayCluster
from optimizer.sweep.spec import Spec, read_spec
from optimizer.system.files import is_file, is_folder, output_folder

SWEEPS = Path("sweeps")


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
    artifacts = _brought(home, spec)
    if spec is not None and not is_file(home / FILE):
        planned(spec, home, [])  # what is wrong is told before a folder is made
    with ExitStack() as stack:
        ledger = stack.enter_context(closing(SweepLedger(output_folder(home))))
        spec = current_spec(ledger, spec)
        spec = added(spec, additions)
        plan = planned(spec, home, ledger.cells(), ledger.meta("budget"))
        _write_down(ledger, plan)
        if artifacts is not None:
            artifacts.put_first()
            for problem in artifacts.even_out([one.cell.name for one in ledger.cells() if one.state == "finished"]):
                say(problem)
        clock = Clock.of(spec.sweep.budget, ledger)
        player = stack.enter_context(closing(player or make_player(spec.sweep.where)))
        at_once = parallel or spec.sweep.parallel or player.room() or cells_at_once(plan.configs.values())
        say(f"{len(plan.configs):,} cells, {at_once} at a time, in {home}")
        about = {"id": ledger.meta("id"), "name": home.resolve().name}
        played = any(one.state != "finished" for one in ledger.cells() if one.cell.name in plan.configs)
        drive = Drive(ledger, plan.configs, player, at_once, clock, about, say, artifacts)
        try:
            asyncio.run(_until_stopped(drive))
        except asyncio.CancelledError:
            if artifacts is not None:
                with suppress(OSError, LedgerError):
                    artifacts.put_sweep()
            raise Interrupted("interrupted", f"Go on with `metier sweep {home}`: nothing paid is lost.") from None
        states = [one.state for one in ledger.cells() if one.cell.name in plan.configs]
        finished = states.count("finished")
        ended = Ended(home, finished, len(states) - finished - drive.not_begun, drive.not_begun)
        if played:
            notify(spec.notify, ended.body(), say)
        return ended


def _brought(home: Path, spec: Spec | None) -> Artifacts | None:
    """Return the sweep's artifacts, after what this machine lacks of its ledger was brought; None: it keeps none."""
    artifacts = artifacts_of(address_of(home) if spec is None else spec.sweep.artifacts, home)
    if artifacts is not None:
        artifacts.bring_sweep(lambda ledger: current_spec(ledger, spec))
    return artifacts


async def _until_stopped(drive: Drive) -> None:
    with cancelled_by_signals(_nothing):
        await drive.run()


async def _nothing() -> None:
    """Wait for nothing: each cell's process lets its own calls be answered."""


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
