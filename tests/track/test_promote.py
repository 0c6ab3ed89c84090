"""From a run to an alias, and back to the prompt, as a user would do it."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from optimizer.cli.main import cli
from optimizer.errors import ConfigError, StoppedByFailures, TaskError
from optimizer.ledger.ledger import Ledger
from optimizer.track.copier import Copier
from optimizer.track.promote import fetch, promote

from .finished import best_json, make_run, result_json

# MLflow's own code is not free of warnings.
pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, made_database: Path) -> tuple[Path, str]:
    """A finished run without proof, mirrored: its folder and its MLflow."""
    place = tmp_path_factory.mktemp("promoted")
    shutil.copy(made_database, place / "mlflow.db")
    uri = f"sqlite:///{place}/mlflow.db"
    make_run(place, uri, "inconclusive")
    with closing(Ledger(place / "ledger.db")) as ledger:
        copier = Copier(ledger, place, lambda candidate: "", lambda: None)
        copier.copy("FINISHED")
    tell(place, {"tracking_uri": uri, "run_id": copier.parent})
    return place, uri


def tell(place: Path, mlflow: dict[str, Any] | None) -> None:
    (place / "result.json").write_text(json.dumps({**result_json("inconclusive"), "mlflow": mlflow}))


def test_a_promoted_prompt_is_the_runs_and_has_one_version(run: tuple[Path, str]) -> None:
    place, uri = run
    with pytest.raises(TaskError, match="not in the registry"):
        fetch("prompts:/sort-it@champion", uri)
    for new in (", a new alias beside challenger", ""):
        done = CliRunner().invoke(cli, ["promote", str(place)], prog_name="metier")
        told = f"prompts:/sort-it@champion is version 1{new} (its verdict is inconclusive), at {uri}\n"
        assert (done.exit_code, done.stdout) == (0, told)
    for address in ("@champion", "@challenger", "/1", ""):
        assert fetch(f"prompts:/sort-it{address}", uri) == (place / "best.json").read_text()


def test_a_better_prompt_takes_the_alias_over(run: tuple[Path, str], tmp_path: Path) -> None:
    place, _ = run
    shutil.copytree(place, tmp_path / "later", ignore=shutil.ignore_patterns("*.db*", "mlartifacts"))
    better = {**best_json(), "messages": {"predict": [{"role": "user", "content": "Best: {{text}}"}]}}
    (tmp_path / "later" / "best.json").write_text(json.dumps(better))
    promote(place, "staging")
    assert promote(tmp_path / "later", "staging").startswith("prompts:/sort-it@staging is version 2, was version 1")
    assert promote(place, "staging").startswith("prompts:/sort-it@staging is version 1, was version 2")


def test_the_address_may_come_from_the_environment(run: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    place, uri = run
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert fetch("prompts:/sort-it/1") == (place / "best.json").read_text()


@pytest.mark.parametrize("alias", ["latest", "v3", "a b", "", "3"])
def test_an_alias_that_mlflow_keeps_for_itself_is_refused(run: tuple[Path, str], alias: str) -> None:
    with pytest.raises(ConfigError, match="cannot be an alias"):
        promote(run[0], alias)


@pytest.mark.parametrize("address", ["prompts:/", "prompts:/a@", "prompts:/a/b", "prompts:/a@b/1"])
def test_what_names_no_prompt_is_refused(address: str) -> None:
    with pytest.raises(TaskError, match="names no registered prompt"):
        fetch(address, "sqlite:///never.db")


def test_a_run_that_is_not_there_or_not_in_mlflow(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no finished run"):
        promote(tmp_path, "champion")
    (tmp_path / "best.json").write_text(json.dumps(best_json()))
    for mlflow in (None, {"tracking_uri": "http://127.0.0.1:9", "run_id": None}):
        tell(tmp_path, mlflow)
        with pytest.raises(ConfigError, match="not in MLflow"):
            promote(tmp_path, "champion")


def test_a_server_that_is_down_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "best.json").write_text(json.dumps(best_json()))
    tell(tmp_path, {"tracking_uri": "http://127.0.0.1:9", "run_id": "x"})
    with pytest.raises(StoppedByFailures, match="Connection refused"):
        promote(tmp_path, "champion")
    with pytest.raises(StoppedByFailures, match="Connection refused"):
        fetch("prompts:/sort-it@champion", "http://127.0.0.1:9")


def test_a_prompt_that_another_tool_registered(run: tuple[Path, str]) -> None:
    from optimizer.track.connect import make_client

    make_client(run[1]).register_prompt("foreign", "Do it.")
    with pytest.raises(TaskError, match="not registered by metier"):
        fetch("prompts:/foreign/1", run[1])
