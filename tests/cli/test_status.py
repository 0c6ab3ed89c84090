from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.bench import Bench
from support.jobs import lighten, make_task, rule, settings, write_config

from optimizer.cli.main import cli
from optimizer.cli.status import _lines
from optimizer.ledger.batches import BatchOut
from optimizer.report.status import Status
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.faults import Fault
from optimizer.testing.protocols import OpenAI

pytestmark = pytest.mark.timeout(120)


def status(bench: Bench) -> dict[str, Any]:
    done = CliRunner().invoke(cli, ["status", str(bench.folder / "out"), "--json"])
    assert done.exit_code == 0, done.output
    data: dict[str, Any] = json.loads(done.stdout)
    return data


def test_a_run_is_told_while_it_runs_and_when_it_is_interrupted_and_finished(bench: Bench) -> None:
    bench.server.delay = 0.03
    pid = bench.start("out", at="trial_end.after:4")
    deadline = time.monotonic() + 30
    while bench.server.count < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    running = status(bench)
    assert (running["state"], running["task"], running["planned"], running["verdict"]) == (
        "running",
        "sorting",
        8,
        None,
    )
    assert running["spent"]["calls"][1] == 80
    assert bench.forks.wait(pid) == -9, bench.log("out")
    cut = status(bench)
    assert cut["state"] == "interrupted"
    assert sum(cut["trials"].values()) - cut["trials"]["running"] == 4
    assert cut["best"]["low"] <= cut["best"]["score"] <= cut["best"]["high"]
    assert cut["seconds_left"] > 0
    told = CliRunner().invoke(cli, ["status", str(bench.folder / "out")]).stdout
    for text in ("sorting: interrupted", "4 of at most 8 ended", " of 80 calls", "time left about", "metier resume"):
        assert text in told
    assert bench.run("out") == 0, bench.log("out")
    done, result = status(bench), bench.result("out")
    assert (done["state"], done["verdict"], done["attempts"]) == ("finished", result["verdict"], 2)
    assert done["spent"]["calls"] == [result["usage"]["calls"]["task"], 80]
    assert done["test_calls"] == result["test_usage"]["calls"]["task"]
    assert done["lost_calls"] == result["lost_calls"]
    assert done["seconds_left"] == 0
    told = CliRunner().invoke(cli, ["status", str(bench.folder / "out")]).stdout
    assert "finished, improved" in told
    assert "time left" not in told


def test_there_must_be_a_run(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["status", str(tmp_path)])
    assert done.exit_code == 2
    assert "no run lies here" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_where_the_budget_decides_no_number_of_trials_is_told() -> None:
    counts = {"complete": 2, "raced_out": 1, "failed": 0, "running": 1}
    spent = {"calls": (30.0, 60.0)}
    found = Status("running", "sorting", "", counts, None, None, spent, 0, (0, 3), {}, 0, 1, 9.0, 9.0, None)
    assert "  trials    3 ended (2 complete, 1 raced out, 1 running)" in _lines(found, Path("out"))


def test_what_a_provider_says_does_not_act_on_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)
    said = {"error": {"message": "\x1b]0;owned\x07 \x9b31m \u202e no", "type": "authentication_error", "code": 401}}
    monkeypatch.setattr(OpenAI, "error", staticmethod(lambda status, text: said))
    with FakeServer(rule) as server:
        server.break_down(Fault("status", 401))
        out = tmp_path / "out"
        config = write_config(tmp_path / "a.yaml", settings(make_task(tmp_path / "task"), server.api_base))
        run = CliRunner().invoke(cli, ["run", str(config), "--run-dir", str(out)])
    status = CliRunner().invoke(cli, ["status", str(out)])
    assert (run.exit_code, status.exit_code) == (3, 0), run.output
    for told in (run.output, status.output):
        assert "\\u001b]0;owned\\u0007 \\u009b31m \\u202e no" in told
    for told in (run.output, status.output, (out / "run.log").read_text()):
        assert not set("\x1b\x07\x9b\u202e") & set(told)


def test_a_batch_that_is_out_is_told() -> None:
    state = Status("interrupted", "sorting", "", {"running": 1}, None, None, {}, 0, (0, 3), {}, 0, 1, 9.0, 9.0, None)
    since = time.time() - 4000
    told = _lines(replace(state, batches=[BatchOut(500, 230, since)]), Path("out"))
    begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(since))
    assert f"  batch     out since {begun}, 230 of 500 calls answered (1 h 6 min)" in told
    assert told[-2] == "What a batch is answered is fetched, and not paid again, when the run goes on."


def test_the_best_trials_prompt_is_told() -> None:
    best = {"score": 0.5, "low": 0.25, "high": 0.75, "examples": 8, "trial": 3}
    state = Status("running", "sorting", "", {"running": 1}, None, best, {}, 0, (0, 3), {}, 0, 1, 9.0, 9.0, None)
    told = _lines(replace(state, prompt="turns, nearest 4, calibrated"), Path("out"))
    assert told[2:4] == [
        "  best      0.500 [0.25, 0.75] on 8 validation examples (trial 3)",
        "  prompt    turns, nearest 4, calibrated",
    ]
    assert not any(line.startswith("  prompt") for line in _lines(state, Path("out")))
