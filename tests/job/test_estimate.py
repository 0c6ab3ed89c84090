"""`metier estimate` and the forecast of `metier run` against the fake server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.jobs import lighten, make_task, rule, settings, write_config

from optimizer.cli.main import cli
from optimizer.job.run import run_config
from optimizer.testing.fake_server import FakeServer

PRICED = {"model": "openai/fake", "price": {"input": 100.0, "cached": 100.0, "output": 200.0}}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(rule) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    lighten(monkeypatch.setattr)
    task = make_task(tmp_path / "task")

    def make(model: Any = "openai/fake", **changes: Any) -> Path:
        models = {"task": model, "api_base": server.api_base, "concurrency": 4, "timeout": 20}
        return write_config(tmp_path / "run.yaml", settings(task, server.api_base, models=models, **changes))

    return make


def told(*arguments: Any) -> str:
    done = CliRunner().invoke(cli, ["estimate", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_dozen_calls_foretell_what_the_run_then_takes(config: Any, server: FakeServer, tmp_path: Path) -> None:
    from optimizer.config.load import load_config
    from optimizer.job.estimate import estimate

    path = config(PRICED)
    found = estimate(load_config(path))
    assert 0 < server.count <= 12
    report = run_config(load_config(path, [f"run_dir={tmp_path / 'out'}"]))
    calls = sum(report.usage["calls"].values()) + sum(report.test_usage["calls"].values())
    tokens = sum(usage["input_tokens"] + usage["output_tokens"] for usage in (report.usage, report.test_usage))
    usd = report.usage["usd"] + report.test_usage["usd"]
    assert found.usd is not None
    assert found.seconds is not None
    for figure, real in ((found.calls, calls), (found.tokens, tokens), (found.usd, usd)):
        assert 0.5 * figure.low <= real <= 1.5 * figure.high


def test_it_says_what_it_assumed(config: Any) -> None:
    text = told(config())
    assert text.startswith("Forecast: ")
    assert "dollars not known" in text
    assert "assumed: the test takes" in text


def test_the_probes_of_a_run_dir_are_not_paid_again(config: Any, server: FakeServer, tmp_path: Path) -> None:
    path = config()
    told(path, "--run-dir", tmp_path / "out")
    probed = server.answered
    report = run_config(write_config(path, {**json.loads(json.dumps(_read(path))), "run_dir": str(tmp_path / "out")}))
    paid = sum(report.usage["calls"].values()) + sum(report.test_usage["calls"].values())
    assert server.answered == paid  # the probes are on the run's bill, once
    assert probed > 0
    refused = CliRunner().invoke(cli, ["estimate", str(path), "--run-dir", str(tmp_path / "out")])
    assert refused.exit_code == 2
    assert "a run has begun there" in refused.output


def test_a_model_that_never_answers_ends_it_with_3(config: Any, server: FakeServer) -> None:
    path = config(failures={"retries": 0})
    server.fail(400, times=100)
    done = CliRunner().invoke(cli, ["estimate", str(path)])
    assert done.exit_code == 3, done.output
    assert "no probe call was answered" in done.output


def test_dollars_that_do_not_pay_for_the_probes_are_refused(config: Any) -> None:
    done = CliRunner().invoke(cli, ["estimate", str(config(PRICED)), "--set", "budget.usd=0.000001"])
    assert done.exit_code == 2
    assert "budget.usd: too little even for the probe calls" in done.output


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["default", "dspy.BootstrapFewShotWithRandomSearch"])
def test_a_run_with_a_price_is_foretold_without_a_call(
    config: Any, server: FakeServer, tmp_path: Path, strategy: str
) -> None:
    from optimizer.config.load import load_config
    from optimizer.job.watcher import Watcher

    said: list[tuple[int, str]] = []

    class Listener(Watcher):
        def say(self, text: str) -> None:
            said.append((server.count, text))

    chosen = f"search.strategy={strategy}"
    run_config(load_config(config(PRICED), [f"run_dir={tmp_path / 'out'}", chosen]), Listener())
    before, text = next(one for one in said if one[1].startswith("Forecast: "))
    assert before == 0
    assert "$" in text
    said.clear()
    run_config(load_config(config(), [f"run_dir={tmp_path / 'free'}"]), Listener())
    assert not any("Forecast" in text for _, text in said)


def _read(path: Path) -> Any:
    import yaml

    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_a_dspy_optimizer_is_forecast_to_take_its_budget_at_most(config: Any) -> None:
    found = told(config(budget={"calls": 90}, search={"strategy": "dspy.MIPROv2"}))
    assert "assumed: dspy.MIPROv2 is set up to take 90 calls at most" in found
    # A range, or an upper end where one call was slow: the machines are noisy.
    assert re.search(r", (\S+ \(\S+–\S+\)|up to \S+) s of them for test and baselines$", found.splitlines()[0])


def test_what_libraries_have_to_say_is_not_on_the_screen(config: Any, server: FakeServer) -> None:
    server.answer = lambda messages: "word " * 400
    done = CliRunner().invoke(cli, ["estimate", str(config())])
    assert done.exit_code == 0
    assert "WARNING" not in done.output
