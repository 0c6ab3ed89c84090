from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.jobs import lighten, make_task, rule, settings, write_config

from optimizer.cli.main import cli
from optimizer.config.schema import RunConfig
from optimizer.testing.fake_server import FakeServer

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(rule) as running:
        yield running


def test_what_is_preferred_reaches_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[RunConfig] = []
    monkeypatch.setattr("optimizer.cli.runs._optimize", lambda config, *_: seen.append(config))
    config = str(write_config(tmp_path / "run.yaml", settings(make_task(tmp_path / "task"))))
    preferred = CliRunner().invoke(cli, ["run", config, "--prefer", "cheapest-within", "0.02"])
    assert (preferred.exit_code, seen[0].search.prefer) == (0, "cheapest-within 0.02")
    refused = CliRunner().invoke(cli, ["run", config, "--prefer", "cheapest-within", "7"])
    assert refused.exit_code == 2
    assert "cheapest-within and a share of the score below 1" in refused.stderr


def test_run_prints_its_trials_and_verdict_and_eval_scores_the_prompt(
    tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    config = write_config(tmp_path / "run.yaml", settings(make_task(tmp_path / "task"), server.api_base))
    out = tmp_path / "out"
    done = CliRunner().invoke(cli, ["run", str(config), "--run-dir", str(out)])
    assert (done.exit_code, done.stderr) == (0, "")
    for text in ("sorting: ", "trial   0 ", "improved: Use the winner", "paired", "; test ", f"{out / 'best.md'}"):
        assert text in done.stdout
    assert "metier ui" not in done.stdout  # it was not mirrored
    scored = CliRunner().invoke(cli, ["eval", "--trust", str(tmp_path / "task"), "--prompt", str(out / "best.json")])
    assert (scored.exit_code, scored.stderr) == (0, "")
    assert "95 % interval" in scored.stdout
    quiet = CliRunner().invoke(cli, ["run", str(config), "--run-dir", str(out), "--quiet"])
    assert quiet.stdout.lstrip().startswith("improved: ")


def test_a_quiet_run_tells_of_what_it_does_without_on_standard_error(
    tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    monkeypatch.setenv("METIER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "answers.db").write_bytes(b"no database" * 1000)
    changes = {"cache": {"shared": True}, "notify": {"url": "http://127.0.0.1:9/hook"}}
    config = write_config(tmp_path / "run.yaml", settings(make_task(tmp_path / "task"), server.api_base, **changes))
    done = CliRunner().invoke(cli, ["run", str(config), "--run-dir", str(tmp_path / "out"), "--quiet"])
    assert done.exit_code == 0
    assert done.stdout.lstrip().startswith("improved: ")
    cache, hook = done.stderr.splitlines()
    assert "the cache between runs is not used" in cache
    assert "The webhook was not told" in hook
    assert "WARNING optimizer.job: " + cache in (tmp_path / "out" / "run.log").read_text()
