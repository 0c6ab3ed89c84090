from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from filelock import FileLock
from support.jobs import TRUTH, lighten, make_task, metier, rule, settings, write_config

from optimizer.cli.main import cli
from optimizer.errors import ConfigError
from optimizer.job.run import run_config
from optimizer.job.watcher import Watcher
from optimizer.ledger.answers import answers_of
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.result import Report
from optimizer.ledger.trials import all_trials, begin_trial, finish_trial
from optimizer.testing.fake_server import FakeServer
from optimizer.track import mirror as mirror_module
from optimizer.track.content import COLUMNS
from optimizer.track.mirror import Mirror
from optimizer.track.worker import LOCK
from optimizer.types import Candidate, Prompt

from .conftest import TrackingServer, content_of, runs_of, text_of

# MLflow's own code is not free of warnings.
pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]
Job = Callable[[str, str | None], tuple[Report, list[str]]]
ENDED = ("complete", "raced_out", "failed")
KILLS = 6
SEED = int(os.environ.get("METIER_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


class OnHeaders(Watcher):
    """Keeps the news."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def model() -> Iterator[FakeServer]:
    with FakeServer(rule) as server:
        yield server


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the jobs."""
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def job(jobs: Path, model: FakeServer) -> Job:
    """Run the same job, in a folder of its own, mirrored to the given address."""
    folder = jobs
    task = make_task(folder / "task")

    def run(name: str, uri: str | None) -> tuple[Report, list[str]]:
        data = settings(task, model.api_base, run_dir=str(folder / name), tracking={"mlflow": {"uri": uri}})
        heard = OnHeaders()
        with pytest.MonkeyPatch.context() as patch:
            lighten(patch.setattr)
            return run_config(write_config(folder / "run.yaml", data), heard), heard.lines

    return run


@pytest.fixture(scope="module")
def report(job: Job, jobs: Path, made_database: Path) -> Report:
    """The undisturbed run, mirrored to the default place."""
    (jobs / "undisturbed").mkdir()
    shutil.copy(made_database, jobs / "undisturbed" / "mlflow.db")
    done, said = job("undisturbed", None)
    assert not [line for line in said if "MLflow" in line]
    return done


def mirrored(report: Report) -> tuple[Any, Any, list[Any]]:
    """Return a client, the parent run, and its children."""
    assert report.mlflow is not None
    client, (parent, *children) = runs_of(str(report.mlflow["tracking_uri"]), report.run_id)
    assert parent.info.run_id == report.mlflow["run_id"]
    return client, parent, children


def test_each_trial_is_a_child_run(report: Report) -> None:
    client, parent, runs = mirrored(report)
    with closing(Ledger(report.run_dir / "ledger.db", exclusive=False)) as ledger:
        rows = {f"trial {row.number:03d}": row for row in all_trials(ledger) if row.state in ENDED}
        assert [run.info.run_name for run in runs] == list(rows)
        assert len(runs) > 3
        for run in runs:
            row = rows[run.info.run_name]
            metrics = run.data.metrics
            assert metrics["score"] == pytest.approx(min(1.0, row.value))
            assert metrics["examples_seen"] == row.seen
            assert metrics["calls"] >= 0
            ours = {"predict.demo_set", "predict.demos", "predict.readout"}
            assert set(run.data.params) - ours == set(row.params) - ours
            assert run.data.params["predict.readout"] == row.candidate.prompts["predict"].readout
            fixed = [p["demos"] for p in row.candidate.to_json().values() if p["policy"] == "static"]
            assert ("predict.demo_set" in run.data.params) == any(fixed)
            assert {"predict.format", "predict.count", "predict.instruction"} <= set(run.data.params)
            assert run.data.tags["candidate_id"] == row.candidate_id
            assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
            assert json.loads(text_of(client, run, "prompt.json")) == row.candidate.to_json()
            assert "## predict" in text_of(client, run, "prompt.md")
            table = json.loads(text_of(client, run, "examples.json"))
            assert table["columns"] == [*COLUMNS]
            for asked, answer, expected, score, *_ in table["data"]:
                assert TRUTH[asked.split()[-1]] == expected
                assert score == float(answer == expected)
            steps = [point.step for point in client.get_metric_history(run.info.run_id, "seen_score")]
            assert sorted(steps) == [*range(4, row.seen, 4), row.seen]
            assert len(table["data"]) == row.seen <= len(answers_of(ledger, row.candidate_id, "validation"))


def test_the_parent_holds_the_outcome(report: Report) -> None:
    client, parent, _ = mirrored(report)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["verdict"] == report.verdict
    assert parent.data.metrics["winner_test_score"] == pytest.approx(report.winner.test_score)
    assert parent.data.params["task"] == "sorting"
    curve = client.get_metric_history(parent.info.run_id, "best_by_calls")
    values = [point.value for point in sorted(curve, key=lambda point: point.step)]
    assert values == sorted(values)
    assert 0 < max(point.step for point in curve) <= parent.data.metrics["calls"]
    names = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"best.json", "best.md", "report.md", "config.yaml"} <= names


def track_sync(run_dir: Path, *options: str) -> str:
    done = CliRunner().invoke(cli, ["track", "sync", str(run_dir), *options], prog_name="metier")
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


def test_a_sync_of_a_whole_mirror_changes_nothing(report: Report) -> None:
    client, parent, children = mirrored(report)
    before = [content_of(client, run) for run in (parent, *children)]
    assert track_sync(report.run_dir).startswith(f"0 of {len(before)} MLflow runs written")
    _, parent, children = mirrored(report)
    assert [content_of(client, run) for run in (parent, *children)] == before


def result_of(report: Report) -> dict[str, Any]:
    """Return result.json without its mlflow block, and without what differs between any two runs of one job."""
    data: dict[str, Any] = json.loads((report.run_dir / "result.json").read_text())
    for usage in ("usage", "test_usage"):
        data[usage].pop("cached_input_tokens")  # the provider's own cache: it depends on what came before
    return {key: value for key, value in data.items() if key not in ("run_id", "seconds", "mlflow")}


def test_a_password_in_the_address_is_written_nowhere(tmp_path: Path) -> None:
    out, uri = tmp_path / "out", "http://me:sesame@there"
    data = settings(make_task(tmp_path / "task"), run_dir=str(out), tracking={"mlflow": {"uri": uri}})
    with pytest.raises(ConfigError, match="holds a password"):
        run_config(write_config(tmp_path / "run.yaml", data))
    assert not [path for path in out.rglob("*") if path.is_file() and b"sesame" in path.read_bytes()]


def told_of(content: dict[str, Any]) -> dict[str, Any]:
    """Leave out what differs between two runs of one job: ids and times."""
    kept = {name: points for name, points in content["history"].items() if not name.startswith("latency_")}
    history = {name: [(step, value) for step, _, value in points] for name, points in kept.items()}
    tags = {name: tag for name, tag in content["tags"].items() if name != "metier.run_id"}
    files = {name: untimed(text) if name.endswith("examples.json") else text for name, text in content["files"].items()}
    return {**content, "times": None, "history": history, "tags": tags, "files": files}


def untimed(table: str) -> list[Any]:
    """Return a table's rows without the seconds that they took."""
    place = COLUMNS.index("seconds")
    return [[*row[:place], *row[place + 1 :]] for row in json.loads(table)["data"]]


@pytest.fixture(scope="module")
def down(job: Job, tracking_server: TrackingServer) -> tuple[Report, list[str]]:
    """The same run, whose server is not there."""
    return job("down", tracking_server.uri)


@pytest.mark.slow
def test_mlflow_is_down_for_the_whole_run(
    report: Report, down: tuple[Report, list[str]], tracking_server: TrackingServer
) -> None:
    """Bar 12, first half: the result is the same, and the user is told once at either end."""
    done, said = down
    assert [line for line in said if "MLflow" in line] == [
        "MLflow cannot be reached (Connection refused); the run goes on, and is copied when it answers.",
        f"MLflow was not reached (Connection refused); later: metier track sync {done.run_dir}",
    ]
    assert done.mlflow == {"tracking_uri": tracking_server.uri, "run_id": None}
    assert result_of(done) == result_of(report)


@pytest.mark.parametrize("elsewhere", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["file", "server"])
def test_a_sync_gives_the_runs_of_an_undisturbed_job(
    report: Report,
    down: tuple[Report, list[str]],
    tracking_server: TrackingServer,
    made_database: Path,
    elsewhere: bool,
    tmp_path: Path,
) -> None:
    """Bar 12, second half: to the server once it is there, or to another place."""
    run_dir = tmp_path / "down"
    shutil.copytree(down[0].run_dir, run_dir)
    if elsewhere:
        shutil.copy(made_database, tmp_path / "mlflow.db")
        uri, options = f"sqlite:///{tmp_path}/mlflow.db", ["--uri", f"sqlite:///{tmp_path}/mlflow.db"]
    else:
        tracking_server.start()
        uri, options = tracking_server.uri, []
    client, expected_parent, children = mirrored(report)
    expected = [told_of(content_of(client, run)) for run in children]
    assert track_sync(run_dir, *options).startswith(f"{len(children) + 1} of {len(children) + 1} ")
    client, (parent, *children) = runs_of(uri, down[0].run_id)
    assert [told_of(content_of(client, run)) for run in children] == expected
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics.keys() == expected_parent.data.metrics.keys()
    block = json.loads((run_dir / "result.json").read_text())["mlflow"]
    assert block == {"tracking_uri": uri, "run_id": parent.info.run_id}
    assert track_sync(run_dir).startswith("0 of ")


def check_whole(ledger: Ledger, uri: str) -> None:
    """Exactly one run a trial, none RUNNING, the job FINISHED."""
    numbers = [row.number for row in all_trials(ledger) if row.state in ENDED]
    _, (parent, *children) = runs_of(uri, ledger.meta("run_id"))
    assert [child.info.run_name for child in children] == [f"trial {number:03d}" for number in numbers]
    assert {child.info.status for child in children} <= {"FINISHED", "FAILED"}
    assert parent.info.status == "FINISHED"


@pytest.mark.slow
def test_a_killed_run_leaves_no_run_running(
    tmp_path: Path, model: FakeServer, made_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL, resumed until done: exactly one MLflow run a trial, none RUNNING at any time after a kill."""
    print(f"METIER_TEST_SEED={SEED}")  # noqa: T201 - shown where it fails, to be replayed by
    dice = random.Random(SEED)
    monkeypatch.setattr(model, "delay", 0.05)
    out, uri = tmp_path / "out", f"sqlite:///{tmp_path}/mlflow.db"
    shutil.copy(made_database, tmp_path / "mlflow.db")
    data = settings(make_task(tmp_path / "task"), model.api_base, tracking={"mlflow": {"uri": uri}})
    command = ("run", write_config(tmp_path / "run.yaml", data), "--run-dir", out)
    for _ in range(KILLS):
        process = metier(*command, light=True)
        kill_soon(process, model, dice.uniform(0, 1.5))
        with FileLock(out / LOCK, timeout=60), closing(Ledger(out / "ledger.db")) as ledger:  # its worker has ended
            _, found = runs_of(uri, ledger.meta("run_id"))
            assert len({run.info.run_name for run in found}) == len(found)
            assert "RUNNING" not in {run.info.status for run in found}
    told = metier(*command, light=True).communicate(timeout=120)
    assert "MLflow" not in told[0], told
    with closing(Ledger(out / "ledger.db")) as ledger:
        check_whole(ledger, uri)


def kill_soon(process: subprocess.Popen[str], model: FakeServer, seconds: float) -> None:
    """SIGKILL a run some seconds after it has begun to call the model, or when it has ended."""
    before, deadline = model.count, time.monotonic() + 60
    while model.count == before and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(seconds)
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_a_server_that_is_killed_in_mid_run_is_caught_up_with(
    tmp_path: Path, model: FakeServer, tracking_server: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking_server.kill()
    tracking_server.start()
    monkeypatch.setattr(model, "delay", 0.3)
    out, uri = tmp_path / "out", tracking_server.uri
    data = settings(make_task(tmp_path / "task"), model.api_base, tracking={"mlflow": {"uri": uri}})
    process = metier("run", write_config(tmp_path / "run.yaml", data), "--run-dir", out, light=True)
    try:
        await_calls(model, process, 12)
        tracking_server.kill()
        await_calls(model, process, 60)  # the search goes on
        monkeypatch.setattr(model, "delay", 2.0)
        tracking_server.start()
        monkeypatch.setattr(model, "delay", 0.0)
        told = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, told
    assert "MLflow was not reached" not in told[0]
    with closing(Ledger(out / "ledger.db")) as ledger:
        check_whole(ledger, uri)


def await_calls(model: FakeServer, process: subprocess.Popen[str], count: int) -> None:
    wanted, deadline = model.count + count, time.monotonic() + 90
    while model.count < wanted:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.db")) as opened:
        opened.put_meta("run_id", "abc")
        yield opened


def start(ledger: Ledger, uri: str) -> tuple[Mirror, list[str]]:
    said: list[str] = []
    mirror = Mirror(ledger, ledger.path.parent, said.append)
    mirror.start({"uri": uri, "experiment": "metier", "name": "sorting", "params": {}, "config": "", "block": 4})
    mirror.nudge()  # it starts the worker
    return mirror, said


def test_a_server_that_never_answers_delays_the_end_by_a_bounded_time(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "SILENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        mirror, said = start(ledger, f"http://127.0.0.1:{deaf.getsockname()[1]}")
        mirror.nudge()
        assert mirror.finish("FAILED") == "it took too long"
    assert said == []
    assert ledger.meta("tracking")["status"] == "FAILED"


def test_a_worker_that_stands_still_does_not_hold_up_the_search(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "SILENCE", 0.2)
    mirror, _ = start(ledger, "http://127.0.0.1:9")
    assert mirror._child is not None
    os.kill(mirror._child.pid, signal.SIGSTOP)
    for _ in range(100_000):  # more than a pipe holds
        mirror.nudge()
    assert mirror.finish("KILLED") == "it took too long"


def test_a_worker_that_dies_or_cannot_start_is_told_of_at_the_end(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror, _ = start(ledger, "http://127.0.0.1:9")
    assert mirror._child is not None
    mirror._child.kill()
    assert mirror.finish("FINISHED") == "its worker ended with exit code -9"
    monkeypatch.setattr(mirror_module.sys, "executable", "/nowhere/python")
    mirror, said = start(ledger, "http://127.0.0.1:9")
    mirror.nudge()
    assert "No such file" in said[0]
    assert "No such file" in mirror.finish("FINISHED")


def end_trial(ledger: Ledger, number: int) -> None:
    candidate = Candidate({"predict": Prompt(f"Try {number}.")})
    begin_trial(ledger, number, candidate, {"predict.count": number}).result()
    ends = {"value": 0.5, "score": 0.5, "low": 0.1, "high": 0.9, "seen": 0, "failures": 0}
    finish_trial(ledger, number, state="complete", reason="", **ends).result()


@pytest.mark.slow
def test_a_job_that_is_killed_and_resumed_leaves_one_run_a_trial(ledger: Ledger, made_database: Path) -> None:
    home = ledger.path.parent
    shutil.copy(made_database, home / "mlflow.db")
    uri = f"sqlite:///{home}/mlflow.db"
    end_trial(ledger, 0)
    first, _ = start(ledger, uri)
    end_trial(ledger, 1)
    assert first._child is not None
    assert first._child.stdin is not None
    first._child.stdin.close()  # all that a worker sees of the SIGKILL of its job
    assert first._child.wait(60) == 0
    first.finish("KILLED")  # lets go of the pipes
    _, runs = runs_of(uri, "abc")
    assert [(run.info.run_name, run.info.status) for run in runs] == [
        ("sorting", "KILLED"),
        ("trial 000", "FINISHED"),
        ("trial 001", "FINISHED"),
    ]
    second, said = start(ledger, uri)
    end_trial(ledger, 2)
    second.nudge()
    assert second.finish("FINISHED") == ""
    assert said == []
    assert second.parent == first.parent == runs[0].info.run_id
    check_whole(ledger, uri)
