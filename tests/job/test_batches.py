"""Runs in batches, on the fake provider."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.jobs import lighten, make_task, rule, settings, write_config

from optimizer.config.load import load_config
from optimizer.config.schema import BudgetConfig
from optimizer.door import batching, submissions
from optimizer.door.budget import Budget
from optimizer.errors import ConfigError, ModelError
from optimizer.job.batches import batch_time_note, refuse_batches
from optimizer.job.estimate import estimate
from optimizer.job.run import run_config
from optimizer.job.watcher import Watcher
from optimizer.job.window import load_task_of
from optimizer.ledger.reader import Reader
from optimizer.ledger.spend import usage_by_role
from optimizer.testing.fake_server import FakeServer
from optimizer.types import Usage

pytestmark = pytest.mark.timeout(60)
EACH = 2.0  # dollars for a million tokens of either kind


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setattr(batching, "QUIET", 0.05)
    for name, value in {"FIRST_LOOK": 0.01, "SETTLING": 0.05}.items():
        monkeypatch.setattr(submissions, name, value)
    with FakeServer(rule) as fake:
        yield fake


def config(folder: Path, server: FakeServer, model: str = "openai/fake", **changes: Any) -> Path:
    data = settings(make_task(folder / "task"), run_dir=str(folder / "out"), **changes)
    task = {"model": model, "price": {"input": EACH, "output": EACH}}
    models = {"task": task, "batch": True, "timeout": 20}
    if model.startswith(("openai/", "anthropic/")):
        models["api_base"] = server.api_base
    return write_config(folder / "run.yaml", {**data, "models": models})


class Listener(Watcher):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def say(self, text: str) -> None:
        self.texts.append(text)


@pytest.mark.slow
def test_a_run_in_batches_ends_like_any_and_costs_half(
    tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    listener = Listener()
    report = run_config(config(tmp_path, server, budget={"usd": 5, "seconds": 3600}), listener)
    assert report.verdict == "improved"
    assert sum("budget.seconds leaves 1.0 hours, and a batch may take 24" in text for text in listener.texts) == 1
    batches = list(server.batches.made.values())
    assert [f"a batch of {len(one.lines)} calls is out ({one.id})" in listener.texts for one in batches] == [
        True
    ] * len(batches)
    answers = [result for one in batches for result in (one.results or {}).values()]
    batched = sum(one[1]["usage"]["total_tokens"] for one in answers if isinstance(one, tuple))
    with closing(Reader(tmp_path / "out" / "ledger.db")) as ledger:
        used = sum((one for phase in ("search", "test") for one in usage_by_role(ledger, phase).values()), Usage())  # type: ignore[arg-type]
    assert server.answered == used.calls
    assert server.count < 3 * batching.FEWEST < len(answers)
    assert used.usd == pytest.approx(EACH / 1e6 * (server.tokens - batched / 2))


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("local/smollm2-135m", "it is served on this machine"),
        ("azure/x", "those of Azure OpenAI are not known here, though it has some"),
        ("gemini/x", "those of Google Gemini are not known here, though it has some"),
        ("ollama/x", "Ollama has none"),
        ("groq/x", "those of its provider are not known here"),
    ],
)
def test_models_without_batches_are_refused_by_name(tmp_path: Path, server: FakeServer, model: str, why: str) -> None:
    with pytest.raises(ConfigError, match=f"{model} cannot be asked in batches: {why}") as refused:
        run_config(config(tmp_path, server, model))
    assert "openai/… or anthropic/…" in refused.value.remedy


def test_a_server_without_batches_is_refused_before_the_first_call(tmp_path: Path, server: FakeServer) -> None:
    server.batches.absent = True
    has_none = rf"models.batch: openai/fake at {server.api_base} has no batches \(no such path"
    with pytest.raises(ModelError, match=has_none):
        run_config(config(tmp_path, server))
    assert server.count == 0


def test_an_optimizer_that_asks_call_after_call_is_refused(tmp_path: Path, server: FakeServer) -> None:
    settings = load_config(config(tmp_path, server, search={"strategy": "dspy.MIPROv2"}))
    with pytest.raises(ConfigError, match=r"the strategy dspy\.MIPROv2 asks call after call"):
        refuse_batches(settings, load_task_of(settings))


def test_a_batch_does_not_tell_how_long_an_answer_takes(tmp_path: Path, server: FakeServer) -> None:
    settings = load_config(config(tmp_path, server, search={"objective": ["score", "latency"]}))
    with pytest.raises(ConfigError, match="how long an answer takes has a say"):
        refuse_batches(settings, load_task_of(settings))


def test_a_model_that_is_held_in_memory_is_refused(tmp_path: Path, server: FakeServer) -> None:
    settings = load_config(config(tmp_path, server))
    with pytest.raises(ConfigError, match="a model given as an object cannot be asked in batches"):
        refuse_batches(settings, load_task_of(settings), {"task"})


def test_time_is_spoken_of_where_a_batch_may_take_longer(tmp_path: Path, server: FakeServer) -> None:
    settings = load_config(config(tmp_path, server))
    day = 24 * 3600.0
    notes = [batch_time_note(settings, Budget(BudgetConfig(seconds=seconds))) for seconds in (day - 60, day + 60, None)]
    assert [bool(note) for note in notes] == [True, False, False]


@pytest.mark.slow
def test_an_estimate_tells_of_both_ways(tmp_path: Path, server: FakeServer) -> None:
    forecast = estimate(load_config(config(tmp_path, server)).model_copy(update={"run_dir": None}))
    assert not server.batches.made, "the probes are asked one by one, so that they are timed"
    assert forecast.usd is not None
    assert forecast.seconds is None
    line = forecast.text().splitlines()[1]
    assert line.startswith(f"  In batches (models.batch): {forecast.usd.text('$')}, in ")
    assert "each within 24 hours and most within one" in line
    assert f"Call by call: {forecast.usd.scaled(2).text('$')}, " in line
