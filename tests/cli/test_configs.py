from __future__ import annotations

import json
from pathlib import Path

import yaml
from click.testing import CliRunner

from optimizer.cli.main import cli
from optimizer.config.schema import RunConfig


def test_schema_is_json() -> None:
    schema = json.loads(CliRunner().invoke(cli, ["config", "schema"]).output)
    assert set(schema["properties"]) == set(RunConfig.model_fields)


def test_show_fills_the_defaults_in_and_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("task: somewhere\n")
    shown = CliRunner().invoke(cli, ["config", "show", str(path), "--set", "search.trials=7"]).output
    data = yaml.safe_load(shown)
    assert data["search"]["trials"] == 7
    assert RunConfig.model_validate(data) == RunConfig(task="somewhere").model_copy(
        update={"search": RunConfig(task="x").search.model_copy(update={"trials": 7})}
    )
