from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from jobs import lighten, make_task, rule, settings, write_config

from optimizer.cli.main import cli
from optimizer.testing.fake_server import FakeServer

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(rule) as running:
        yield running


def test_run_prints_its_trials_and_verdict_and_eval_scores_the_prompt(
    tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    config = write_config(tmp_path / "run.yaml", settings(make_task(tmp_path / "task"), server.api_base))
    out = tmp_path / "out"
    done = CliRunner().invoke(cli, ["run", str(config), "--run-dir", str(out)])
    assert (done.exit_code, done.stderr) == (0, "")
    for text in ("sorting: ", "trial   0 ", "improved: Use the winner", "paired", f"{out / 'best.md'}"):
        assert text in done.stdout
    assert "metier ui" not in done.stdout  # it was not mirrored
    scored = CliRunner().invoke(cli, ["eval", str(tmp_path / "task"), "--prompt", str(out / "best.json")])
    assert (scored.exit_code, scored.stderr) == (0, "")
    assert "95 % interval" in scored.stdout
    quiet = CliRunner().invoke(cli, ["run", str(config), "--run-dir", str(out), "--quiet"])
    assert quiet.stdout.lstrip().startswith("improved: ")
