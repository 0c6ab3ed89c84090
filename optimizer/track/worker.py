"""What runs beside a search, in a process of its own, and what rebuilds the mirror afterwards."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from optimizer.errors import ConfigError, LedgerError, StoppedByFailures
from optimizer.ledger.decisions import MOVE, put_decision
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.result import Report, is_finished, put_mlflow
from optimizer.system.files import exists
from optimizer.system.mlflow_client import why
from optimizer.track.address import checked, refuse_unmasked
from optimizer.track.content import Describe
from optimizer.track.copier import Copier

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds between two attempts
REST, LONGEST_REST = 20.0, 5.0  # times what a copy took, and seconds
LAST_SECONDS = 5.0  # for further attempts once the job has ended
LOCK = "mirror.lock"
LOCK_SECONDS = 60.0


class Bell:
    """Rings at each line of a stream; `over` from its end on, which is the end of the job."""

    def __init__(self, stream: IO[str]) -> None:
        self._rung, self.over = threading.Event(), threading.Event()
        threading.Thread(target=self._listen, args=(stream,), name="bell", daemon=True).start()

    def wait(self) -> None:
        """Wait for the next ring, or for the end."""
        self._rung.wait()
        self._rung.clear()

    def _listen(self, stream: IO[str]) -> None:
        for _ in stream:
            self._rung.set()
        self.over.set()
        self._rung.set()


def follow(run_dir: Path, describe: Describe, commands: IO[str], news: IO[str]) -> bool:
    """Copy a run while another process works on it; returns whether all arrived.

    A line from `commands` says that the ledger has something new, its end that the job has ended, or
    was killed. `news` gets a JSON line for each run written, and for each outage.
    """
    bell = Bell(commands)
    if hasattr(os, "nice"):
        os.nice(5)  # the search comes first
    with FileLock(run_dir / LOCK, mode=0o600), closing(Ledger(run_dir / "ledger.db", exclusive=False)) as ledger:
        copier: Copier = Copier(
            ledger,
            describe,
            written=lambda: _tell(news, run_id=copier.parent),
            note=lambda text: _tell(news, note=text),
        )
        attempts, deadline = 0, None
        while True:
            over = bell.over.is_set()
            if over and deadline is None:
                deadline = time.monotonic() + LAST_SECONDS
            began = time.monotonic()
            problem = _attempt(copier, final_status(ledger) if over else "RUNNING")
            _tell(news, run_id=copier.parent, problem=problem)
            if not problem:
                attempts = 0
                if over:
                    return True
                # What ends meanwhile is copied together: a copy reads all outcomes, and the search comes first.
                bell.over.wait(min(LONGEST_REST, REST * (time.monotonic() - began)))
                bell.wait()
            elif deadline is not None and time.monotonic() > deadline:
                return False
            else:
                attempts += 1
                _pause(bell, attempts)


def _attempt(copier: Copier, status: str) -> str:
    """Copy once; returns what went wrong, "" if nothing did."""
    try:
        copier.copy(status)
    except Exception as problem:  # noqa: BLE001 - the boundary to MLflow, which raises what its drivers raise
        copier.forget()
        return why(problem)
    return ""


def _pause(bell: Bell, attempts: int) -> None:
    """Wait before the next attempt: exponentially longer with full jitter; the job's end cuts it short."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts, 10))
    if bell.over.is_set():
        time.sleep(FIRST_PAUSE)
    else:
        bell.over.wait(random.uniform(FIRST_PAUSE, longest))  # noqa: S311 - not for secrets


def _tell(news: IO[str], **what: object) -> None:
    with suppress(OSError):  # nobody may be listening any more
        print(json.dumps(what), file=news, flush=True)


def final_status(ledger: Ledger) -> str:
    """Return how a job ended, in MLflow's words: FINISHED, FAILED or KILLED."""
    status = str(ledger.meta("tracking")["status"])
    if status == "RUNNING":  # it was killed, perhaps after its result was written
        return "FINISHED" if is_finished(ledger) else "KILLED"
    return status


def sync(run_dir: Path, describe: Describe, say: Callable[[str], None], uri: str | None = None) -> Report | None:
    """Make MLflow say what a run's ledger says; returns the run's outcome, which says where, if it has one.

    An `uri` other than the run's becomes the run's.
    Raises LedgerError (no run, or one at work), ConfigError (not mirrored, or its privacy forbids that address),
    StoppedByFailures (an outage).
    """
    if not exists(run_dir / "ledger.db"):
        raise LedgerError(f"{run_dir}: no run here", "Give the folder of a run.")
    with closing(Ledger(run_dir / "ledger.db")) as ledger:
        about = ledger.meta("tracking")
        if about is None:
            raise ConfigError(f"{run_dir}: this run was not mirrored to MLflow", "Run it with tracking.mlflow set.")
        uri = checked(uri or about["uri"])
        privacy = (ledger.meta("identity") or {}).get("config", {}).get("privacy", {})
        refuse_unmasked(uri, privacy.get("redact", ()), privacy.get("mlflow", False))
        if uri != about["uri"]:
            put_decision(ledger, MOVE, {"was": about["uri"], "now": uri})
            ledger.put_meta("tracking", {**about, "uri": uri})
        copier = Copier(ledger, describe, lambda: None, say)
        try:
            with FileLock(run_dir / LOCK, timeout=LOCK_SECONDS, mode=0o600):
                problem = _attempt(copier, final_status(ledger))
        except Timeout:
            raise LedgerError(f"{run_dir}: another process mirrors this run", "Wait for it to end.") from None
        if problem:
            raise StoppedByFailures(f"MLflow at {uri} was not reached ({problem})", "Run this again once it is.")
        say(f"{copier.written} of {copier.size} MLflow runs written at {uri}")
        return put_mlflow(ledger, uri, copier.parent)
