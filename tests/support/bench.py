"""Runs of one config by real processes, and what they leave behind."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimizer.ledger.reader import Reader
from optimizer.ledger.trials import trial_figures
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.forks import Forks

SEED = int(os.environ.get("METIER_TEST_SEED", "20"))
FIGURES = ("number", "candidate_id", "state", "reason", "value", "score", "low", "high", "seen", "failures")


@dataclass
class Bench:
    """A config, a server that counts, and forks that run it."""

    folder: Path
    config: Path
    server: FakeServer
    forks: Forks

    def run(self, name: str, **options: Any) -> int:
        """Run or go on with the run of this name; returns the exit code."""
        return self.forks.wait(self.start(name, **options))

    def start(self, name: str, **options: Any) -> int:
        """Start it and return its process id."""
        out = self.folder / name
        return self.forks.start("run", self.config, "--run-dir", out, log=self.folder / f"{name}.log", **options)

    def ledger(self, name: str) -> Any:
        """Return the ledger of a run, to be read and closed."""
        return closing(Reader(self.folder / name / "ledger.db"))

    def trials(self, name: str) -> list[tuple[Any, ...]]:
        """Return what every trial came to."""
        with self.ledger(name) as ledger:
            return [tuple(getattr(trial, figure) for figure in FIGURES) for trial in trial_figures(ledger)]

    def result(self, name: str) -> dict[str, Any]:
        """Return result.json."""
        data: dict[str, Any] = json.loads((self.folder / name / "result.json").read_text())
        return data

    def log(self, name: str) -> str:
        """Return what the run's processes printed."""
        return (self.folder / f"{name}.log").read_text()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, at most 30 s."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
