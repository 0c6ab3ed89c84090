"""Migrations against the fake server: today's prompt, one or two new models, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.jobs import PLACES, TRUTH, lighten, make_task, rule, settings, write_config

from optimizer.config.schema import ModelConfig
from optimizer.errors import ConfigError, LedgerError, StoppedByFailures, TaskError
from optimizer.job.load import load_prompt
from optimizer.job.migrate import STAYS, UNTOLD, exit_code, migrate
from optimizer.job.migrate_input import Wanted
from optimizer.job.run import run_config
from optimizer.ledger.reader import Reader
from optimizer.prompt.saved import dump_prompt
from optimizer.report.migration import Migration, summary
from optimizer.task.load import load_task
from optimizer.testing.fake_server import FakeServer, Messages, text_of
from optimizer.types import Candidate, Prompt

pytestmark = pytest.mark.timeout(120)


def examples() -> list[dict[str, str]]:
    """Return 288 examples, of which 200 are for the test."""
    return [
        {"text": f"the {place} {size} store has {word}", "kind": TRUTH[word]}
        for place in PLACES
        for size in ("big", "small", "tiny", "vast")
        for word in TRUTH
    ]


def wrong(messages: Messages) -> str:
    """Answer wrongly."""
    return "fruit" if rule(messages) != "fruit" else "metal"


class Servers:
    """Today's model, and a new one that knows or does not what it is asked."""

    def __init__(self, today: FakeServer, new: FakeServer) -> None:
        self.today, self.new = today, new


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    lighten(monkeypatch.setattr)
    with FakeServer(rule) as today, FakeServer(rule) as new:
        yield Servers(today, new)


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return make_task(tmp_path / "task", examples(), split={"train": 0.2, "validation": 0.1, "test": 0.7})


def saved(folder: Path, task: Path, server: FakeServer, prompt: Prompt | None = None) -> Path:
    """Write today's prompt, which names the labels, for today's model."""
    prompt = prompt or Prompt("Sort it: fruit, metal or bird.")
    model = ModelConfig(model="openai/old", api_base=server.api_base)
    path = folder / "best.json"
    path.write_text(dump_prompt(load_task(task), Candidate({"predict": prompt}), model, {}))
    return path


def config(folder: Path, task: Path, server: FakeServer, **changes: Any) -> str:
    data = settings(task, server.api_base, test={"baselines": 20}, budget={"calls": 60}, **changes)
    data["search"] |= {"trials": 3, "instructions": 3, "demos": {"policies": ["static"], "counts": [0, 2], "sets": 1}}
    return str(write_config(folder / "run.yaml", data))


def wanted(folder: Path, task: Path, server: FakeServer, *to: str, **changes: Any) -> Wanted:
    given = {"margin": 0.05, "config": config(folder, task, server), "out": str(folder / "out"), "trust": True}
    return Wanted(to or ("openai/new",), **{**given, **changes})


def test_a_prompt_that_does_as_well_moves_as_it_is(tmp_path: Path, task: Path, servers: Servers) -> None:
    prompt = saved(tmp_path, task, servers.today)
    found = migrate(str(prompt), wanted(tmp_path, task, servers.new))
    (model,) = found.models
    assert model.verdict == "moves as it is", summary(found)
    assert (exit_code(found), found.today.score, found.today.examples) == (0, 1.0, 200)
    assert servers.today.count == 200, "today's model is asked once for each test example"
    as_it_is = model.measured[0]
    assert as_it_is.gain is not None
    assert (as_it_is.gain.mean, as_it_is.gain.examples) == (0.0, 200)
    assert as_it_is.cost.p50 is not None
    assert as_it_is.cost.usd is None, "nobody knows its price"
    assert {one.name for one in model.measured} >= {"as it is", "2 random demos"}
    use = load_prompt(str(model.use), trust=True)
    assert use.candidate.to_json() == load_prompt(prompt).candidate.to_json()
    assert use.named.model == "openai/new"
    written = json.loads((tmp_path / "out" / "migration.json").read_text())
    assert written["models"][0]["verdict"] == "moves as it is"
    assert "moves as it is" in (tmp_path / "out" / "migration.md").read_text()

    asked = servers.today.count, servers.new.count
    assert migrate(str(prompt), wanted(tmp_path, task, servers.new)).to_json() == found.to_json()
    assert (servers.today.count, servers.new.count) == asked, "the same command again asks nothing"
