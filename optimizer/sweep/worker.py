"""The process of one cell: it reads its order, runs it, and says how it went. It ends when its driver does.

It is spoken to in lines of JSON. The first line that it reads is the order; the end of its input means that nobody
waits for the cell any more, for example because the driver was killed, and the run is stopped in order.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

from optimizer.config.schema import RunConfig
from optimizer.config.strict import validate
from optimizer.door.limiter import limiter_of
from optimizer.errors import ConfigError, Interrupted, LedgerError, MetierError
from optimizer.job.run import run_config
from optimizer.ledger.facts import SWEEP
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import is_finished
from optimizer.sweep.artifacts import kept
from optimizer.sweep.outcome import outcome_of
from optimizer.sweep.player import Played
from optimizer.sweep.turns import Line, SharedLimiter
from optimizer.system.files import is_file, private_folder
from optimizer.system.redact import scrub


def work(commands: IO[str], news: IO[str]) -> int:
    """Play the cell whose order comes first in `commands`; returns the exit code. `news` is told how it went."""
    order = json.loads(commands.readline())
    line = Line(news)
    threading.Thread(target=_listen, args=(commands, line), name="lifeline", daemon=True).start()
    limiter_of.set(partial(SharedLimiter, line))
    config = validate(RunConfig, order["config"], order["name"], ConfigError)
    played, code = play(config, order["sweep"], order.get("artifacts"))
    line.send({"state": played.state, "message": played.message, "outcome": played.outcome})
    return code


def play(config: RunConfig, sweep: Mapping[str, Any], artifacts: str | None = None) -> tuple[Played, int]:
    """Run a cell to its end, or go on with it; returns how it went, and the exit code of its process.

    Its folder is kept at `artifacts`, too. A cell whose copy fails has failed: it is played again, which pays nothing.
    """
    try:
        with kept(artifacts, Path(config.run_dir or "")):
            return _played(config, sweep)
    except MetierError as problem:
        return Played("failed", scrub(str(problem))), problem.exit_code


def _played(config: RunConfig, sweep: Mapping[str, Any]) -> tuple[Played, int]:
    folder = Path(config.run_dir or "")
    try:
        if not _has_ended(folder):
            _belongs(folder, sweep)
            run_config(config, wait=True, accept_changes=True)
        return Played("finished", outcome=outcome_of(folder)), 0
    except (Interrupted, KeyboardInterrupt):
        return Played("interrupted", "interrupted"), Interrupted.exit_code
    except MetierError as problem:
        return Played("failed", scrub(str(problem))), problem.exit_code


def _has_ended(folder: Path) -> bool:
    """Tell if the run is finished already: its driver was killed before it could write that down."""
    if not is_file(folder / "ledger.db"):
        return False
    with suppress(LedgerError), closing(Reader(folder / "ledger.db")) as ledger:
        return is_finished(ledger)
    return False


def _belongs(folder: Path, sweep: Mapping[str, Any]) -> None:
    """Write into the run's ledger which sweep it is a cell of: its mirror in MLflow reads it there."""
    private_folder(folder)
    with closing(Ledger(folder / "ledger.db", wait=True)) as ledger:
        if ledger.meta(SWEEP) != sweep:
            ledger.put_meta(SWEEP, dict(sweep))


def _listen(commands: IO[str], line: Line) -> None:
    for text in commands:
        line.receive(json.loads(text))
    os.kill(os.getpid(), signal.SIGTERM)
