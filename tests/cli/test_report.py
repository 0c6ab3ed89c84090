from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from support.bench import Bench
from support.disks import read_only
from support.jobs import lighten

from optimizer.cli.main import cli

pytestmark = pytest.mark.timeout(120)


def test_a_run_is_reported_while_it_runs_when_it_is_cut_off_and_at_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    out = bench.folder / "out"

    def report() -> str:
        done = CliRunner().invoke(cli, ["report", str(out)])
        assert (done.exit_code, done.output) == (0, f"{out / 'report.html'}\n")
        return (out / "report.md").read_text()

    bench.server.delay = 0.03
    pid = bench.start("out", at="trial_end.after:4")
    deadline = time.monotonic() + 30
    while bench.server.count < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert report().startswith("# sorting: running\n\n**This run is still going on: ")
    assert bench.forks.wait(pid) == -9, bench.log("out")
    cut = report()
    assert cut.startswith("# sorting: interrupted\n\n**This run was interrupted: 4 of at most 8 trials have ended.")
    assert "metier resume" in cut
    assert bench.run("out") == 0, bench.log("out")
    at_its_end = (out / "report.md").read_text()
    assert f"# sorting: {bench.result('out')['verdict']}\n" in at_its_end
    assert report() == at_its_end


def test_it_is_opened_when_asked(finished: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)
    opened: list[Any] = []
    monkeypatch.setattr(click, "launch", opened.append)
    done = CliRunner().invoke(cli, ["report", str(finished.folder / "out"), "--open"])
    assert done.exit_code == 0
    assert opened == [(finished.folder / "out" / "report.html").resolve().as_uri()]


def test_a_run_on_a_read_only_disk_is_read_by_every_command(
    finished: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    run, out = tmp_path / "run", tmp_path / "reports"
    shutil.copytree(finished.folder / "out", run, ignore=shutil.ignore_patterns("*.lock", "report.*"))
    out.mkdir()
    with read_only(run):
        for command in (["status"], ["show"], ["show", "--trial", "0"], ["compare"], ["export", "--to", "text"]):
            done = CliRunner().invoke(cli, [command[0], str(run), *command[1:]])
            assert done.exit_code == 0, (command, done.output)
        done = CliRunner().invoke(cli, ["report", str(run), "--out", str(out)])
        assert (done.exit_code, done.output) == (0, f"{out / 'report.html'}\n")
        refused = CliRunner().invoke(cli, ["report", str(run)])
        assert (refused.exit_code, "Name a folder that you may write in" in refused.stderr) == (2, True)
    assert (out / "report.md").read_bytes() == (finished.folder / "out" / "report.md").read_bytes()


def test_there_must_be_a_run(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert done.exit_code == 2
    assert "no run lies here" in done.stderr
