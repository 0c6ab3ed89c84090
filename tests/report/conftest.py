from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.jobs import lighten, make_task, rule, settings, write_config

from optimizer.job.run import run_config
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report, Side
from optimizer.report.gather import Facts, gather
from optimizer.testing.fake_server import FakeServer
from optimizer.types import Candidate, Example, Prompt

from .made import make_run

DEMOS = (Example({"q": "one"}, {"a": "x"}), Example({"q": "two"}, {"a": "y"}))
SEED = Candidate({"predict": Prompt("Do it.\nNow.")}, "seed")
WINNER = Candidate({"predict": Prompt("Do it.\nSlowly.", "block", "static", 2, "given", DEMOS)}, "templates")
USAGE = {
    "calls": {"task": 30, "prompt": 4, "judge": 0},
    "cached_calls": 5,
    "input_tokens": 1200,
    "cached_input_tokens": 0,
    "output_tokens": 34,
    "usd": 0.5,
}


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., Report]:
    def make(**changes: Any) -> Report:
        given: dict[str, Any] = {
            "run_id": "abcd",
            "task": "tiny",
            "run_dir": tmp_path,
            "verdict": "improved",
            "seed": Side(SEED, 0.5, (0.4, 0.6), 10.4),
            "winner": Side(WINNER, 0.75, (0.65, 0.85), 99.6),
            "validation_score": 0.8,
            "difference": 0.25,
            "difference_ci95": (0.125, 0.375),
            "test_examples": 40,
            "usage": USAGE,
            "test_usage": {**USAGE, "calls": {"task": 80, "prompt": 0, "judge": 0}},
            "trials": {"complete": 2, "raced_out": 3, "failed": 1},
            "seconds": 61.4,
            "mlflow": None,
        }
        return Report(**{**given, **changes})

    return make


@pytest.fixture
def made_run(tmp_path: Path) -> Path:
    """The folder of a finished run that was written by hand."""
    return make_run(tmp_path / "made")


@pytest.fixture
def facts(made_run: Path) -> Facts:
    """What that run's ledger tells."""
    with closing(Reader(made_run / "ledger.db")) as ledger:
        return gather(ledger)


@pytest.fixture(scope="session")
def real_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run against the fake server."""
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch, FakeServer(rule) as server:
        lighten(patch.setattr)
        data = settings(make_task(folder / "task"), server.api_base, run_dir=str(folder / "run"))
        data["search"]["trials"] = 12
        run_config(write_config(folder / "run.yaml", data))
    return folder / "run"
