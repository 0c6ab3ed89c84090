"""The test split is read by nobody between the start of the search and the verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from jobs import lighten, make_task, rule, settings, write_config

import optimizer.prompt.overlap
import optimizer.run
import optimizer.search.verdict
from optimizer import optimize
from optimizer.errors import MetierError
from optimizer.search.layout import Layout
from optimizer.testing.fake_server import FakeServer
from optimizer.types import Example


class Poisoned(Sequence[Example]):
    """A split that may be counted; while `locked`, reading an example of it ends the run."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples, self.locked, self.reads = examples, False, 0

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, place: Any) -> Any:
        assert not self.locked, f"the test split was read before the verdict: {place}"
        self.reads += 1
        return self.examples[place]


Poisoner = Callable[[], Poisoned]


@pytest.fixture
def poisoner(monkeypatch: pytest.MonkeyPatch) -> Poisoner:
    """Poison the split of the next run from the start of its search to the call of `final_test`.

    The look for near-duplicates across the splits comes before: the search learns nothing of it.
    """
    made: list[Poisoned] = []
    load, job = optimizer.run.load_task, optimizer.run._Job
    foretell, verdict = job._foretell, optimizer.search.verdict.final_test

    def loaded(*arguments: Any, **options: Any) -> Any:
        task = load(*arguments, **options)
        made.append(Poisoned(task.test))
        return dataclasses.replace(task, test=made[-1])

    async def locked(*arguments: Any) -> Any:
        made[-1].locked = True  # by now near-duplicates between the splits have been looked for, and named
        return await foretell(*arguments)

    async def unlocked(*arguments: Any) -> Any:
        made[-1].locked, made[-1].reads = False, 0
        return await verdict(*arguments)

    monkeypatch.setattr(optimizer.run, "load_task", loaded)
    monkeypatch.setattr(job, "_foretell", locked)
    monkeypatch.setattr(optimizer.search.verdict, "final_test", unlocked)
    return lambda: made[-1]


def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    lighten(monkeypatch.setattr)
    with FakeServer(rule) as server:
        # A prompt model and a price, so that the proposers and the forecast run too.
        priced = {"model": "openai/fake", "price": {"input": 1.0, "output": 2.0}}
        models = {"task": priced, "prompt": "openai/fake", "api_base": server.api_base, "concurrency": 4}
        data = settings(make_task(folder / "task"), server.api_base, run_dir=str(folder / "out"), models=models)
        return optimize(write_config(folder / "run.yaml", data))


def test_a_whole_run_reads_no_test_example_before_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poisoner: Poisoner
) -> None:
    report = run(tmp_path, monkeypatch)
    assert report.verdict == "improved"
    assert poisoner().reads > 0  # the verdict itself did read it


def test_a_search_that_looks_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poisoner: Poisoner) -> None:
    rounds = Layout.rounds

    def looking(laid: Layout) -> Iterator[int]:
        assert poisoner()[0].inputs
        return rounds(laid)

    monkeypatch.setattr(Layout, "rounds", looking)
    with pytest.raises((AssertionError, MetierError), match="read before the verdict"):
        run(tmp_path, monkeypatch)
