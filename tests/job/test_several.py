"""Searches over several task models, each behind a fake server of its own."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.jobs import TRUTH, lighten, make_task, metier, rule, settings, write_config

from optimizer import load_prompt
from optimizer.config.load import load_config
from optimizer.door.connection import Connection
from optimizer.errors import ConfigError
from optimizer.job.dry import dry
from optimizer.job.estimate import estimate
from optimizer.job.export import ship
from optimizer.job.run import run_config
from optimizer.job.several import refuse_several
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report
from optimizer.ledger.trials import all_trials
from optimizer.report.status import read_status
from optimizer.testing.fake_server import FakeServer, Messages

pytestmark = pytest.mark.timeout(60)
WEAK, STRONG = "openai/weak", "openai/strong"


def weak(messages: Messages) -> str:
    return "fruit"


@pytest.fixture
def servers() -> Iterator[dict[str, FakeServer]]:
    with FakeServer(weak) as one, FakeServer(rule) as other:
        yield {WEAK: one, STRONG: other}


def config(folder: Path, servers: dict[str, FakeServer], **changes: Any) -> Path:
    models = [{"model": name, "api_base": server.api_base} for name, server in servers.items()]
    data = settings(make_task(folder / "task"), run_dir=str(folder / "out"), **changes)
    return write_config(folder / "run.yaml", {**data, "models": {"task": models, "concurrency": 4, "timeout": 20}})


def run(folder: Path, servers: dict[str, FakeServer], **changes: Any) -> Report:
    return run_config(config(folder, servers, **changes))


def test_the_better_model_wins_and_is_the_one_that_the_saved_prompt_asks(
    tmp_path: Path, servers: dict[str, FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    report = run(tmp_path, servers)
    assert report.winner.candidate.model == STRONG
    assert report.seed.candidate.model == ""
    assert (report.seed.test_score, report.verdict) == (pytest.approx(1 / 3, abs=0.1), "improved")
    # What needs no search is asked of the winner's model, too.
    assert {one.side.candidate.model for one in report.baselines} == {STRONG}
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        trials = all_trials(ledger)
        asked = ledger.meta("models")
    assert {trial.candidate.model for trial in trials} == {"", STRONG}
    assert asked["task"]["model"] == WEAK
    assert asked[f"task:{STRONG}"]["model"] == STRONG
    calls = report.usage["calls"]["task"] + report.test_usage["calls"]["task"]  # type: ignore[index]
    assert calls == sum(server.answered for server in servers.values())
    assert report.usage["calls"]["task"] <= 100  # type: ignore[index]
    # What one model answered is no answer of another: its name is in the request.
    bodies = [set(server.bodies) for server in servers.values()]
    assert len(set().union(*bodies)) == sum(map(len, bodies)) == calls
    page = (report.run_dir / "report.html").read_text()
    assert "By model" in page
    assert WEAK in page
    saved = load_prompt(report.run_dir / "best.json", trust=True)
    assert (saved.named.model, saved.named.api_base) == (STRONG, servers[STRONG].api_base)
    assert saved.candidate.id == report.winner.candidate.id
    answered = servers[STRONG].answered
    word = next(iter(TRUTH))
    assert saved(text=f"the north store has {word}")["kind"] == TRUTH[word]
    assert servers[STRONG].answered == answered + 1


@pytest.mark.slow
def test_a_killed_search_of_several_models_goes_on_and_pays_nothing_twice(
    tmp_path: Path, servers: dict[str, FakeServer]
) -> None:
    path = config(tmp_path, servers)
    for server in servers.values():
        server.delay = 0.05
    child = metier("run", path, light=True)
    while sum(server.answered for server in servers.values()) < 40:
        assert child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    resumed = metier("resume", tmp_path / "out", light=True)
    _, said = resumed.communicate()
    assert resumed.returncode == 0, said
    repeated = sum(count - 1 for server in servers.values() for count in server.bodies.values())
    assert repeated <= 8  # those that were in flight
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["status"] == "finished"


def test_before_a_run_each_model_is_named_with_its_address(tmp_path: Path, servers: dict[str, FakeServer]) -> None:
    shown = dry(load_config(config(tmp_path, servers))).text()
    for name, server in servers.items():
        assert f"task model: this machine, {name} at {server.api_base}" in shown
    assert shown.count("of all task models together") == 2
    assert not any(server.requests for server in servers.values())


def test_an_estimate_says_that_it_asked_the_first_model_alone(
    tmp_path: Path, servers: dict[str, FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    found = estimate(load_config(config(tmp_path, servers))).text()
    assert f"taken to be like those of the first task model, {WEAK}; the others were not asked" in found
    assert not servers[STRONG].requests


@pytest.mark.parametrize("strategy", ["dspy.MIPROv2", "dspy.GEPA"])
def test_an_optimizer_of_dspys_asks_one_model(
    tmp_path: Path, servers: dict[str, FakeServer], strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    with pytest.raises(ConfigError, match=rf"openai/weak, openai/strong.*{strategy} asks one"):
        run(tmp_path, servers, search={"strategy": strategy})
    assert not (tmp_path / "out").exists()


def test_one_model_is_never_refused(tmp_path: Path, servers: dict[str, FakeServer]) -> None:
    made = load_config(config(tmp_path, {WEAK: servers[WEAK]}))
    assert made.models.also == ()
    refuse_several(made, None)  # type: ignore[arg-type]


def test_the_front_of_score_and_dollars_holds_the_cheap_model_and_the_good_one(
    tmp_path: Path, servers: dict[str, FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    prices = {WEAK: {"input": 0.1, "output": 0.1}, STRONG: {"input": 10, "output": 10}}
    path = config(tmp_path, servers, search={**settings(Path())["search"], "objective": ["score", "usd"]})
    data = yaml.safe_load(path.read_text())
    for model in data["models"]["task"]:
        model["price"] = prices[model["model"]]
    report = run_config(write_config(path, data))
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        model_of = {trial.candidate.id: trial.candidate.model for trial in all_trials(ledger)}
    first, *_, last = report.front
    assert (model_of[first["candidate_id"]], model_of[last["candidate_id"]]) == ("", STRONG)
    assert 10 * first["usd_per_call"] < last["usd_per_call"]
    assert report.winner.candidate.model == STRONG
    assert "$ per 1,000 calls" in (report.run_dir / "report.md").read_text()


def test_the_front_of_three_holds_the_cheap_model_and_the_fast_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    objective = {"objective": ["score", "usd", "latency"]}
    attempt = Connection._attempt

    async def timed(self: Connection, *arguments: Any) -> Any:
        """Take no machine's word for how long it took: a busy one would be the slower model."""
        outcome, _ = await attempt(self, *arguments)
        return outcome, 0.5 if self._endpoint.model == WEAK else 0.05

    monkeypatch.setattr(Connection, "_attempt", timed)
    with FakeServer(rule) as slow, FakeServer(rule) as fast:
        servers = {WEAK: slow, STRONG: fast}
        path = config(tmp_path, servers, search={**settings(Path())["search"], **objective})
        data = yaml.safe_load(path.read_text())
        for model, price in zip(data["models"]["task"], (0.1, 10), strict=True):
            model["price"] = {"input": price, "output": price}
        report = run_config(write_config(path, data))
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        model_of = {trial.candidate.id: trial.candidate.model for trial in all_trials(ledger)}
        status = read_status(ledger)
    times = {model_of[one["candidate_id"]]: one["latency"]["p50_ms"] for one in report.front}
    assert times == {STRONG: 50.0, "": 500.0}
    result = json.loads((report.run_dir / "result.json").read_text())
    assert result["seed"]["latency"]["p50_ms"] == 500.0
    assert result["winner"]["latency"]["p50_ms"] == times[report.winner.candidate.model]
    assert status.latency is not None
    assert status.latency["answers"] > 0
    page = (report.run_dir / "report.md").read_text()
    assert "median ms" in page
    assert "Median time of an answer, with its 95 % interval: the seed " in page


def test_settings_of_a_model_are_searched_and_the_saved_prompt_has_the_winners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that is right only at temperature 0.7: one call at a time, so that the last request is the one asked."""
    lighten(monkeypatch.setattr)
    with FakeServer(weak) as server:
        server.answer = lambda messages: (rule if server.requests[-1]["temperature"] == 0.7 else weak)(messages)
        data = settings(make_task(tmp_path / "task"), run_dir=str(tmp_path / "out"))
        model = {"model": STRONG, "api_base": server.api_base, "temperature": [0, 0.7], "max_tokens": [40, 50]}
        models = {"task": model, "concurrency": 1, "timeout": 20}
        search = {**data["search"], "demos": {"counts": [0, 4], "policies": ["static"]}}  # which an export holds
        path = write_config(tmp_path / "run.yaml", {**data, "models": models, "search": search})
        report = run_config(path)
        limits = [body.get("max_tokens") or body["max_completion_tokens"] for body in server.requests]
        asked = {(body["temperature"], limit) for body, limit in zip(server.requests, limits, strict=True)}
        assert asked >= {(0.0, 40), (0.0, 50), (0.7, 40), (0.7, 50)}
        assert report.verdict == "improved"
        limit = 40 if report.winner.candidate.model.endswith("40)") else 50
        assert report.winner.candidate.model == f"openai/strong (temperature 0.7, max_tokens {limit})"
        saved = load_prompt(report.run_dir / "best.json", trust=True)
        assert (saved.named.model, saved.named.temperature, saved.named.max_tokens) == (STRONG, 0.7, limit)
        word = next(iter(TRUTH))
        assert saved(text=f"the south store has {word}")["kind"] == TRUTH[word]
    page = (report.run_dir / "report.md").read_text()
    assert "By model" in page
    assert "temperature 0.7, max" in page
    body = ship(report.run_dir / "best.json", "openai", None).text
    assert json.loads(body)["temperature"] == 0.7
    assert limit in json.loads(body).values()
