"""Runs whose metric is a judge: its calls, its failures, and what is refused before anything is spent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from support.jobs import lighten, make_task, rule, settings, write_config
from support.judges import METRIC, is_judged, judging, strict
from teleprompt import made

from optimizer.cli.main import cli
from optimizer.config.load import load_config
from optimizer.errors import ConfigError
from optimizer.job.dry import dry
from optimizer.job.estimate import estimate
from optimizer.job.run import run_config
from optimizer.ledger.answers import answers_of
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report
from optimizer.testing.fake_server import FakeServer, Messages

JUDGED = {"judge": "openai/judge"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    lighten(monkeypatch.setattr)
    with FakeServer(judging(strict, rule)) as running:
        yield running


def config(folder: Path, server: FakeServer, judge: Any = None, metric: Any = METRIC, **changes: Any) -> Path:
    task = make_task(folder / "task", metric=metric)
    models = {"task": "openai/fake", "api_base": server.api_base, "concurrency": 4, "timeout": 20}
    models |= {} if judge is None else {"judge": judge}
    return write_config(folder / "run.yaml", settings(task, models=models, run_dir=str(folder / "out"), **changes))


def calls(report: Report, role: str) -> int:
    found: int = report.usage["calls"][role] + report.test_usage["calls"][role]
    return found


def test_a_judge_scores_a_run_and_its_calls_are_on_the_bill(tmp_path: Path, server: FakeServer) -> None:
    path = config(tmp_path, server, "openai/judge", budget={"calls": 90})
    report = run_config(path)
    asked = [body["model"] for body in server.requests]
    assert report.verdict == "improved"
    assert (asked.count("fake"), asked.count("judge")) == (calls(report, "task"), calls(report, "judge"))
    assert sum(report.usage["calls"].values()) <= 90
    # Equal answers to an example are graded once.
    assert 0 < calls(report, "judge") < calls(report, "task")
    with closing(Reader(tmp_path / "out" / "ledger.db")) as ledger:
        rows = list(answers_of(ledger, report.winner.candidate.id, "test"))
        (roles,) = ledger.read(
            "SELECT COUNT(*) AS n FROM calls WHERE role = 'judge' AND trial >= 0 AND example IS NULL"
        )
    assert {(row.value, tuple(row.parts.items())) for row in rows} == {(1.0, (("right", 1.0),))}
    assert {row.calls for row in rows} == {1}  # those of the prompt, which the judge's are not
    assert {row.metric.partition("@")[0] for row in rows} == {"judge"}
    assert roles["n"] == 0


@pytest.mark.slow
def test_a_judge_that_fails_leaves_answers_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)

    def moody(seen: dict[str, str]) -> object:
        return "I will not say" if "north" in seen["input"] else strict(seen)

    with FakeServer(judging(moody, rule)) as server:
        report = run_config(config(tmp_path, server, "openai/judge"))
    with closing(Reader(tmp_path / "out" / "ledger.db")) as ledger:
        rows = list(answers_of(ledger, report.winner.candidate.id, "test"))
    lost = [row for row in rows if row.value is None]
    assert {row.failure for row in lost} == {"malformed"}
    assert len(lost) == len(rows) - report.test_examples > 0


@pytest.mark.parametrize("command", [["run"], ["run", "--dry"], ["estimate"]])
@pytest.mark.parametrize(
    ("judge", "metric", "message"),
    [(None, METRIC, "no model is named to ask"), ("openai/judge", "choice", "asks none")],
)
def test_a_judge_without_a_model_or_a_metric_is_refused_before_anything_is_spent(
    tmp_path: Path, server: FakeServer, command: list[str], judge: Any, metric: Any, message: str
) -> None:
    path = config(tmp_path, server, judge, metric)
    done = CliRunner().invoke(cli, [command[0], str(path), *command[1:]])
    assert (done.exit_code, server.count) == (2, 0)
    assert message in done.output
    assert not (tmp_path / "out").exists()


def test_tasks_check_says_that_a_judge_needs_a_model(tmp_path: Path, server: FakeServer) -> None:
    config(tmp_path, server)
    done = CliRunner().invoke(cli, ["tasks", "check", str(tmp_path / "task")])
    assert done.exit_code == 0, done.output
    assert "a run of it has to name models.judge" in done.output


def test_what_a_judge_is_sent_is_listed(tmp_path: Path, server: FakeServer) -> None:
    found = dry(load_config(config(tmp_path, server, "openai/judge")))
    (judge,) = [one for one in found.receivers if one.name == "judge model"]
    assert judge.address.startswith("openai/judge at http://127.0.0.1")
    assert {"rubric", "answers", "test labels", "validation inputs", "training labels"} <= set(judge.texts)
    bare = {**METRIC, "reference": False, "inputs": False}
    (hidden,) = [
        one
        for one in dry(load_config(config(tmp_path, server, "openai/judge", bare))).receivers
        if one.name == "judge model"
    ]
    assert set(hidden.texts) == {"rubric", "answers"}
    assert server.count == 0


@pytest.mark.slow
def test_its_calls_are_forecast(tmp_path: Path, server: FakeServer) -> None:
    price = {"input": 100.0, "cached": 100.0, "output": 200.0}
    path = config(tmp_path, server, {"model": "openai/judge", "price": price})
    data = load_config(path).model_dump()
    data["models"]["task"]["price"] = price
    path = write_config(path, json.loads(json.dumps(data)))
    found = estimate(load_config(path, ["run_dir=null"]))
    report = run_config(path)
    assert found.judged is not None
    assert "of them of the judge" in found.text()
    assert 0 < calls(report, "judge") <= found.judged.high
    assert found.test_calls >= sum(report.test_usage["calls"].values())
    assert found.usd is not None
    assert report.usage["usd"] + report.test_usage["usd"] <= 1.5 * found.usd.high


def test_a_judge_may_be_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from job.made import asked
    from optimizer import optimize

    lighten(monkeypatch.setattr)
    judged = list[Messages]()

    def judge(messages: Messages) -> str:
        judged.append(messages)
        return judging(strict, rule)(messages)

    def model(messages: Messages) -> str:
        return rule(messages)

    result = optimize(model=model, models={"judge": judge}, **asked(tmp_path, metric=METRIC))
    assert all(map(is_judged, judged))
    assert len(judged) == calls(result.report, "judge") > 0


@pytest.mark.filterwarnings("default")
def test_a_strategy_of_dspys_asks_a_judge_from_its_own_threads(tmp_path: Path, server: FakeServer) -> None:
    search = {"strategy": "dspy.BootstrapFewShotWithRandomSearch", "formats": ["turns"]}
    report = run_config(config(tmp_path, server, "openai/judge", search=search, budget={"calls": 200}))
    assert report.winner.test_score > report.seed.test_score
    assert sum(report.usage["calls"].values()) <= 200
    with closing(Reader(tmp_path / "out" / "ledger.db")) as ledger:
        rows = ledger.read("SELECT COUNT(*) AS n FROM calls WHERE role = 'judge' AND example IS NULL")
    assert rows[0]["n"] == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("strategy", ["dspy.MIPROv2", "dspy.GEPA", "dspy.SIMBA", "dspy.COPRO"])
def test_each_strategy_keeps_its_budget_with_a_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    lighten(monkeypatch.setattr)
    with FakeServer(judging(strict, made.answer)) as running:
        data = made.settings(
            strategy, made.small_task(tmp_path / "task"), running.api_base, run_dir=str(tmp_path / "o")
        )
        task = yaml.safe_load((tmp_path / "task" / "task.yaml").read_text(encoding="utf-8"))
        write_config(tmp_path / "task" / "task.yaml", {**task, "metric": METRIC})
        data["models"]["judge"], data["run_dir"] = "openai/judge", str(tmp_path / "out")
        report = run_config(write_config(tmp_path / "run.yaml", data))
    assert sum(report.usage["calls"].values()) <= made.BUDGET
    assert calls(report, "judge") > 20


def test_a_run_with_a_judge_is_read_again_and_another_judge_is_another_run(tmp_path: Path, server: FakeServer) -> None:
    path = config(tmp_path, server, "openai/judge", search={**settings(tmp_path)["search"], "trials": 2})
    report, asked = run_config(path), server.count
    assert any("never checked against people" in note for note in report.notes)
    assert run_config(path) == report
    assert server.count == asked
    with pytest.raises(Exception, match=r"config\.models\.judge\.model: openai/judge → openai/other"):
        run_config(config(tmp_path, server, "openai/other", search={**settings(tmp_path)["search"], "trials": 2}))
    with pytest.raises(ConfigError, match="no model is named"):
        run_config(config(tmp_path, server))
