"""The search's end of the mirror: starts the worker, wakes it, and never waits for it before the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from optimizer.errors import MetierError
from optimizer.ledger.ledger import Ledger
from optimizer.system.files import private_file
from optimizer.system.process import environment

# Seconds that the end of a run waits: without news from the worker, and in all.
SILENCE, PATIENCE = 20.0, 60.0
# An interrupted run ends soon; what is missing is made up for when it is resumed.
PATIENCE_KILLED = 5.0


class Mirror:
    """Copies a run's ledger to MLflow, by a process of its own.

    So neither an outage nor slowness of MLflow costs the search anything.
    """

    def __init__(self, ledger: Ledger, run_dir: Path, say: Callable[[str], None]) -> None:
        self._ledger, self._run_dir, self._say = ledger, run_dir, say
        self._child: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._heard = 0.0
        self._problem = ""
        self.parent: str | None = None

    def start(self, about: Mapping[str, Any]) -> None:
        """Note what the worker needs; `about` holds uri, experiment, name, params, tags, data, config and block.

        The worker itself starts with the first trial that ended: its imports take seconds, and a run may stop before.
        """
        earlier = self._ledger.meta("tracking") or {}
        times = {"started": earlier.get("started", time.time()), "status": "RUNNING"}
        self._ledger.put_meta("tracking", {**about, **times})

    def nudge(self) -> None:
        """Tell the worker that the ledger has something new; never blocks. The first call starts the worker."""
        if self._child is None and not self._problem:
            self._launch()
        if self._child is not None:
            # A full pipe holds nudges enough, and a worker that is gone is told of by `finish`.
            with suppress(OSError):
                os.write(_pipe(self._child.stdin).fileno(), b"\n")

    def _launch(self) -> None:
        command = [sys.executable, "-P", "-m", "optimizer", "track", "follow", str(self._run_dir.absolute())]
        try:
            with private_file(self._run_dir / "run.log").open("ab") as log:
                # A session of its own: Ctrl-C is ours to pass on.
                self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=environment(),
                    start_new_session=True,
                )
        except OSError as problem:
            self._trouble(str(problem))
            return
        os.set_blocking(_pipe(self._child.stdin).fileno(), False)
        self._heard = time.monotonic()
        self._reader = threading.Thread(target=self._read, args=(self._child.stdout,), name="mirror", daemon=True)
        self._reader.start()

    def finish(self, status: str) -> str:
        """Record how the job ended (FINISHED, FAILED, KILLED); let the worker copy the rest.

        Waits a bounded time. Returns what went wrong, "" if nothing did: a mirror that fails must not
        fail the job.
        """
        with suppress(MetierError):  # a ledger that cannot be written has ended the job already
            about = self._ledger.meta("tracking")
            self._ledger.put_meta("tracking", {**about, "status": status, "ended": time.time()})
        if self._child is None or self._reader is None:
            return self._problem
        _pipe(self._child.stdin).close()
        self._heard = time.monotonic()
        code = self._wait(self._child, PATIENCE_KILLED if status == "KILLED" else PATIENCE)
        self._reader.join(SILENCE)  # it ends with the worker's output
        if not self._reader.is_alive():
            _pipe(self._child.stdout).close()
        if code == 0:
            return ""
        return self._problem or ("it took too long" if code is None else f"its worker ended with exit code {code}")

    def _wait(self, child: subprocess.Popen[bytes], patience: float) -> int | None:
        """Return the worker's exit code, or None if it had to be killed."""
        deadline = time.monotonic() + patience
        while time.monotonic() < min(deadline, self._heard + SILENCE):
            with suppress(subprocess.TimeoutExpired):
                return child.wait(0.2)
        child.kill()
        child.wait()
        return None

    def _read(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._heard = time.monotonic()
            try:
                news = json.loads(line)
            except ValueError:  # the worker was killed in mid-line
                continue
            self.parent = news.get("run_id") or self.parent
            if "note" in news:
                self._say(news["note"])
            problem = news.get("problem", "")
            if problem and not self._problem:
                self._trouble(problem)
            self._problem = problem or self._problem

    def _trouble(self, problem: str) -> None:
        self._problem = problem
        self._say(f"MLflow cannot be reached ({problem}); the run goes on, and is copied when it answers.")


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - it was started with pipes
    return stream
