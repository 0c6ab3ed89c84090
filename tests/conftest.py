from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
from support.bench import SEED, Bench
from support.jobs import make_task, rule, settings, write_config

from optimizer.testing.fake_server import FakeServer
from optimizer.testing.forks import Forks

# No test is judged by the time that it takes: the machines are noisy.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's "&" hands it down; the tests press Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests: a long one that begins last keeps one core waiting."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Processes of the command line that need not import anything."""
    with Forks() as started:
        yield started


@contextmanager
def job(folder: Path, forks: Forks) -> Iterator[Bench]:
    """A small job and a server of its own."""
    with FakeServer(rule) as server:
        data = settings(make_task(folder / "task"), server.api_base, budget={"calls": 80}, seed=SEED)
        yield Bench(folder, write_config(folder / "run.yaml", data), server, forks)


@pytest.fixture
def bench(tmp_path: Path, forks: Forks) -> Iterator[Bench]:
    with job(tmp_path, forks) as made:
        yield made


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Iterator[Bench]:
    """The same job after its run, "out", has ended: to be read, not to be changed."""
    with job(tmp_path_factory.mktemp("finished"), forks) as made:
        assert made.run("out") == 0, made.log("out")
        yield made
