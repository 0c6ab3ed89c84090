from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import SEED, Bench
from forks import Forks
from jobs import make_task, rule, settings, write_config

from optimizer.testing.fake_server import FakeServer


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Processes of the command line that need not import anything."""
    with Forks() as started:
        yield started


@pytest.fixture
def bench(tmp_path: Path, forks: Forks) -> Iterator[Bench]:
    """A small job and a server of its own."""
    with FakeServer(rule) as server:
        data = settings(make_task(tmp_path / "task"), server.api_base, budget={"calls": 80}, seed=SEED)
        yield Bench(tmp_path, write_config(tmp_path / "run.yaml", data), server, forks)
