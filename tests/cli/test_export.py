from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.bench import Bench
from support.jobs import lighten, write_config

from optimizer.cli.export import TARGETS
from optimizer.cli.main import cli
from optimizer.export.targets import TARGETS as MADE

pytestmark = pytest.mark.timeout(120)


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["export", *map(str, arguments)])


def test_every_target_is_offered() -> None:
    assert set(TARGETS) == {"text", "dspy", *MADE}


def test_a_winner_a_trial_and_a_file_are_exported(
    finished: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    run, body = finished.folder / "out", tmp_path / "body.json"
    for target in ("text", "python", "dspy"):  # they hold any prompt
        told = invoke(run, "--to", target)
        assert told.exit_code == 0, told.stderr
        assert told.stdout == invoke(run / "best.json", "--to", target).stdout
    seed = json.loads(invoke(run, "--to", "messages", "--trial", "0").stdout)
    assert seed == [{"role": "system", "content": "Sort it."}, {"role": "user", "content": "{{text}}"}]
    written = invoke(run, "--to", "openai", "--trial", "0", "--out", body)
    assert (written.exit_code, written.stdout) == (0, "")
    assert "{{text}}" in written.stderr
    assert json.loads(body.read_text())["messages"] == seed
    for arguments, message in (
        ((run, "--to", "text", "--trial", "99"), "no trial 99"),
        ((finished.folder / "none", "--to", "text"), "no run lies here"),
    ):
        refused = invoke(*arguments)
        assert refused.exit_code == 2
        assert message in refused.stderr
        assert "Traceback" not in refused.output


def test_what_cannot_hold_a_retrieving_winner_offers_the_best_that_it_can(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    lighten(monkeypatch.setattr)
    data = yaml.safe_load(bench.config.read_text())
    data["search"] |= {"instructions": 1, "formats": ["turns"], "trials": 4}
    data["search"]["demos"] = {"policies": ["nearest"], "counts": [0, 2], "orders": ["given"]}
    write_config(bench.config, data)
    assert bench.run("out") == 0, bench.log("out")
    run = bench.folder / "out"
    assert json.loads((run / "best.json").read_text())["pool"], "the winner should retrieve"
    refused = invoke(run, "--to", "openai")
    assert refused.exit_code == 2
    assert "openai cannot hold this prompt: its demos are chosen anew" in refused.stderr
    assert "--to python or --to dspy" in refused.stderr
    assert "The best prompt that it can hold is --trial 0" in refused.stderr
    assert "trial" not in invoke(run, "--to", "text", "--predictor", "none").stderr
    assert invoke(run, "--to", "python").exit_code == 0
