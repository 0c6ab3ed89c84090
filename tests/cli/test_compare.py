from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from click.testing import CliRunner, Result
from report.made import make_run

from optimizer.cli.main import cli
from optimizer.ledger.reader import connect
from optimizer.ledger.schema import VERSION


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["compare", *map(str, arguments)])


def test_runs_are_told_side_by_side(tmp_path: Path) -> None:
    one, two = make_run(tmp_path / "one"), make_run(tmp_path / "two\x1b[31m")
    told = invoke(one, two)
    assert told.exit_code == 0
    first, second, its_prompt, third, _ = told.stdout.splitlines()
    assert first == "12 common test examples, choice@1; 95 % intervals"
    assert "0.917" in second
    assert its_prompt.strip() == "block, static 2"
    assert third.endswith("not told apart")
    assert "\x1b" not in told.stdout
    data = json.loads(invoke(one, "--json").stdout)
    assert [side["name"] for side in data["sides"]] == [f"{one} seed", f"{one} winner"]


def test_bad_input_is_one_clear_message(tmp_path: Path) -> None:
    refused = invoke(tmp_path)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"Error: {tmp_path}: no run lies here")
    assert invoke().exit_code == 2


def test_a_run_of_another_version_is_one_clear_message(tmp_path: Path) -> None:
    run = make_run(tmp_path / "old")
    with closing(connect((run / "ledger.db").as_uri())) as ledger:
        ledger.execute("UPDATE meta SET value = '3' WHERE key = 'version'")
    refused = invoke(run)
    assert refused.exit_code == 2
    assert f"version 3, this metier writes {VERSION}" in refused.stderr
