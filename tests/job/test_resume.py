"""A run directory that is used again: finished, changed, in use, out of disk."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.bench import SEED, Bench, wait_for
from support.jobs import make_task, metier, rows, write_lines

from optimizer.cli.main import cli
from optimizer.config.load import load_config
from optimizer.errors import LedgerError
from optimizer.job.resume import stored_config
from optimizer.ledger.answers import known_failures
from optimizer.ledger.decisions import ACCEPT, EXTEND, decisions_of
from optimizer.ledger.ledger import Ledger
from optimizer.testing.faults import Fault

pytestmark = pytest.mark.timeout(280)


def refused(bench: Bench, name: str, *arguments: str) -> str:
    """Go on with a run in spite of a change; returns why it is refused."""
    asked = bench.server.count
    done = CliRunner().invoke(cli, ["run", str(bench.config), "--run-dir", str(bench.folder / name), *arguments])
    assert done.exit_code == 2, done.output
    assert bench.server.count == asked
    return done.stderr


def interrupted(bench: Bench, name: str = "out", calls: int = 12) -> None:
    """Run until some calls were made, then kill the process."""
    pid = bench.start(name)
    wait_for(lambda: bench.server.count >= calls)
    os.kill(pid, signal.SIGKILL)
    assert bench.forks.wait(pid) == -signal.SIGKILL


def test_a_finished_run_is_read_and_not_replayed(bench: Bench) -> None:
    assert bench.run("out") == 0, bench.log("out")
    place, asked = bench.folder / "out" / "result.json", bench.server.count
    before, log = place.read_bytes(), (bench.folder / "out" / "run.log").read_bytes()
    place.unlink()
    bench.server.stop()  # neither the model's server nor the embedder is needed
    process = metier("resume", bench.folder / "out", "--quiet", env={"PYTHONPROFILEIMPORTTIME": "1"})
    out, told = process.communicate(timeout=60)
    lines = told.splitlines()
    assert (process.returncode, [line for line in lines if not line.startswith("import time:")]) == (0, [])
    # It takes no seconds: whatever does is not even imported.
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert "optimizer.job.resume" in imported
    assert imported & {"torch", "sentence_transformers", "mlflow", "litellm"} == set()
    assert out.lstrip().startswith("improved: ")
    assert place.read_bytes() == before
    assert (bench.folder / "out" / "run.log").read_bytes() == log
    assert bench.server.count == asked
    message = refused(bench, "out", "--set", "search.trials=20")
    assert "config.search.trials: 8 → 20" in message
    assert "finished" in message
    assert "metier resume" in message
    assert "finished" in refused(bench, "out", "--set", "models.timeout=33", "--accept-changes")


def test_a_finished_run_is_extended_by_more_of_a_limit(bench: Bench) -> None:
    assert bench.run("out") == 0, bench.log("out")
    first, trials, asked = bench.result("out"), bench.trials("out"), bench.server.count
    log = bench.folder / "more.log"
    changes = ["--set", "search.trials=12", "--set", "budget.calls=160"]
    assert bench.forks.run("resume", bench.folder / "out", *changes, log=log) == 0, log.read_text()
    second = bench.result("out")
    assert bench.trials("out")[: len(trials)] == trials, "what was searched before is replayed"
    assert len(bench.trials("out")) == 12
    assert bench.server.count > asked
    assert second["usage"]["calls"]["task"] > first["usage"]["calls"]["task"]
    with bench.ledger("out") as ledger:
        (decision,) = decisions_of(ledger)
    changes = [
        {"key": "config.budget.calls", "was": 80, "now": 160},
        {"key": "config.search.trials", "was": 8, "now": 12},
    ]
    assert (decision.what, decision.value) == (EXTEND, {"changes": changes})
    (note,) = [note for note in second["notes"] if "extended after its test" in note]
    assert f"the verdict was {first['verdict']}" in note
    assert first["winner"]["candidate_id"] in note


def test_what_was_changed_is_told(bench: Bench) -> None:
    interrupted(bench)
    told = refused(bench, "out", "--set", "seed=99", "--set", "search.trials=9", "--accept-changes")
    assert f"config.seed: {SEED} → 99" in told
    assert "config.search.trials: 8 → 9" in told
    assert told.endswith("or undo the change of config.seed.\n")
    assert "config.search.trials: 8 → 5" in refused(bench, "out", "--set", "search.trials=5", "--accept-changes")
    told = refused(bench, "out", "--set", "budget.calls=90")
    assert "config.budget.calls: 80 → 90" in told
    assert "--accept-changes" in told


def test_changed_data_is_told(bench: Bench) -> None:
    interrupted(bench)
    write_lines(bench.folder / "task" / "examples.jsonl", rows()[:-1])
    told = refused(bench, "out", "--accept-changes")
    assert any(f"task.{split}: " in told for split in ("train", "validation", "test"))
    assert "undo the change of task." in told


def test_a_changed_helper_of_a_metric_is_told(bench: Bench) -> None:
    task = make_task(bench.folder / "task", metric="python: metric.py:score")
    (task / "metric.py").write_text("import helper\ndef score(example, answer): return helper.same(example, answer)\n")
    (task / "helper.py").write_text("def same(example, answer): return example['kind'] == answer['kind']\n")
    interrupted(bench)
    (task / "helper.py").write_text("def same(example, answer): return example['kind'] != answer['kind']\n")
    assert "task.metric: python:metric.py:score@" in refused(bench, "out")
    assert "task.metric: python:metric.py:score@" in refused(bench, "out", "--accept-changes")


def test_another_package_version_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(bench)
    monkeypatch.setattr("optimizer.job.resume.__version__", "9.9")
    told = refused(bench, "out", "--accept-changes")
    assert "package.metier: 0.1.0 → 9.9" in told


def test_harmless_changes_are_accepted_and_continue(bench: Bench) -> None:
    interrupted(bench)
    asked = bench.server.count
    changes = ["--set", "budget.calls=200", "--set", "models.timeout=33", "--accept-changes"]
    log = bench.folder / "out.log"
    assert bench.forks.run("resume", bench.folder / "out", *changes, log=log) == 0, bench.log("out")
    assert asked < bench.server.count
    assert bench.forks.run("resume", bench.folder / "out", log=log) == 0, "the change was not remembered"
    with bench.ledger("out") as ledger:
        (decision,) = decisions_of(ledger)  # made once, by whoever accepted it
        attempts = ledger.meta("attempts")
    keys = [(change["key"], change["was"], change["now"]) for change in decision.value["changes"]]
    assert decision.what == ACCEPT
    assert keys == [("config.budget.calls", 80, 200), ("config.models.timeout", 20.0, 33.0)]
    assert [one["user"] for one in attempts] == [decision.user] * 2


def test_a_limit_that_is_added_does_not_change_what_is_replayed(bench: Bench) -> None:
    assert bench.run("calm") == 0, bench.log("calm")
    interrupted(bench, calls=bench.server.count + 40)
    later = (datetime.now() + timedelta(hours=12)).strftime("%H:%M")
    changes = ["--set", f"budget.until='{later}'", "--accept-changes"]
    log = bench.folder / "out.log"
    assert bench.forks.run("resume", bench.folder / "out", *changes, log=log) == 0, bench.log("out")
    assert bench.trials("out") == bench.trials("calm")


def lost(bench: Bench, name: str) -> list[tuple[str, int]]:
    """Return candidate and place of what was never answered in the search."""
    with bench.ledger(name) as ledger:
        return sorted((candidate, place) for candidate, split, place in known_failures(ledger) if split != "test")


def fail_once(bench: Bench) -> None:
    """Let a call of the search fail for good: the second, as the first asks if the model tells log-probabilities."""
    bench.server.inject(Fault("slow"), Fault("status", 400))


def test_what_was_never_answered_is_not_asked_again(bench: Bench) -> None:
    fail_once(bench)
    interrupted(bench, calls=40)
    (missing,) = lost(bench, "out")
    assert bench.forks.run("resume", bench.folder / "out", log=bench.folder / "out.log") == 0, bench.log("out")
    assert lost(bench, "out") == [missing]


def test_a_change_of_patience_asks_again_what_was_never_answered(bench: Bench) -> None:
    fail_once(bench)
    interrupted(bench, calls=40)
    assert len(lost(bench, "out")) == 1
    changes, log = ["--set", "failures.retries=9", "--accept-changes"], bench.folder / "out.log"
    assert bench.forks.run("resume", bench.folder / "out", *changes, log=log) == 0, bench.log("out")
    assert lost(bench, "out") == []


def test_a_run_in_which_nothing_could_be_ranked_asks_all_again(bench: Bench) -> None:
    bench.server.fail(400, times=10_000)
    assert bench.run("out") == 3, bench.log("out")
    assert "answered often enough" in bench.log("out")
    bench.server.forgive()
    assert bench.run("out") == 0, bench.log("out")
    assert lost(bench, "out") == []


def test_the_config_is_read_back_from_the_ledger(bench: Bench, tmp_path: Path) -> None:
    interrupted(bench)
    stored = stored_config(bench.folder / "out", ["search.trials=9"])
    wanted = load_config(bench.config, ["search.trials=9"])
    assert stored == wanted.model_copy(update={"run_dir": str(bench.folder / "out")})
    assert Path(stored.task).is_absolute()
    with pytest.raises(LedgerError, match="no run lies here"):
        stored_config(tmp_path / "nowhere")


def test_a_ledger_without_a_config_is_refused(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        ledger.put_meta("identity", {"task": {"name": "sorting"}})
    with pytest.raises(LedgerError, match="does not hold the config"):
        stored_config(tmp_path)


def test_a_second_process_is_refused_or_waits(bench: Bench) -> None:
    bench.server.delay = 0.05
    first = bench.start("out")
    wait_for(lambda: bench.server.count >= 4)
    command = ("resume", bench.folder / "out")
    assert bench.forks.run(*command, log=bench.folder / "second.log") == 2
    assert "another process is working on this run" in bench.log("second")
    assert "--wait" in bench.log("second")
    third = bench.forks.start(*command, "--wait", log=bench.folder / "third.log")
    bench.server.delay = 0.0
    assert bench.forks.wait(first) == 0, bench.log("out")
    asked = bench.server.count
    assert bench.forks.wait(third) == 0, bench.log("third")
    assert bench.server.count == asked, "the third one waited and found the run finished"


def check_full_disk(bench: Bench, name: str, largest: int) -> bool:
    """Run with files that cannot grow beyond a size, then without; returns True if it struck."""
    asked = bench.server.count
    code = bench.run(name, largest=largest)
    log = bench.log(name)
    assert "Traceback" not in log, log
    assert code in {0, 2}, log
    assert (code == 2) == ("cannot be written" in log or "not a usable ledger" in log), log
    with sqlite3.connect(bench.folder / name / "ledger.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        tables = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]
        recorded = connection.execute("SELECT COUNT(*) FROM calls").fetchone()[0] if tables else 0
    connection.close()
    assert bench.server.count - asked <= recorded, "a call was made that is not recorded"
    assert bench.run(name) == 0, bench.log(name)
    assert bench.trials(name) == bench.trials("calm")
    return code == 2


def test_a_full_disk_stops_the_run_and_loses_nothing(bench: Bench) -> None:
    assert bench.run("calm") == 0
    assert check_full_disk(bench, "full", 150_000)


@pytest.mark.slow
@pytest.mark.timeout(900)  # fifty runs, on machines that may be slow
def test_a_full_disk_at_fifty_points_loses_nothing(bench: Bench) -> None:
    assert bench.run("calm") == 0
    chance = random.Random(SEED)
    sizes = [chance.randrange(4_096, 400_000) for _ in range(50)]
    struck = [size for size in sizes if check_full_disk(bench, f"full-{size}", size)]
    assert len(struck) >= 25, f"seed {SEED}: only {len(struck)} of {len(sizes)} runs met the limit"
