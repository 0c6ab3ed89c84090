"""From a run to an alias, and back to the prompt, as a user would do it."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.disks import read_only

from optimizer.cli.main import cli
from optimizer.errors import ConfigError, LedgerError, StoppedByFailures, TaskError
from optimizer.ledger.decisions import PROMOTE, UNDONE, decisions_of
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import put_mlflow, put_result, result_of
from optimizer.ledger.trials import begin_trial
from optimizer.track.copier import Copier
from optimizer.track.promote import fetch, pin, promote

from .finished import SEED, best_json, make_run, outcome

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
        copier = Copier(ledger, lambda candidate: "", lambda: None)
        copier.copy("FINISHED")
        put_mlflow(ledger, uri, copier.parent)
    return place, uri


def finish(place: Path, best: dict[str, Any], uri: str, run_id: str | None) -> None:
    """Write the outcome of a run and where it lies in MLflow."""
    with closing(Ledger(place / "ledger.db")) as ledger:
        begin_trial(ledger, 0, SEED, {}).result(20)
        put_result(ledger, outcome(place, "inconclusive"), json.dumps(best))
        put_mlflow(ledger, uri, run_id)


def test_a_promoted_prompt_is_the_runs_and_has_one_version(run: tuple[Path, str]) -> None:
    place, uri = run
    with pytest.raises(TaskError, match="not in the registry"):
        fetch("prompts:/sort-it@champion", uri)
    for new in (", a new alias beside challenger", ""):
        done = CliRunner().invoke(cli, ["promote", str(place)], prog_name="metier")
        told = f"prompts:/sort-it@champion is version 1{new} (its verdict is inconclusive), at {uri}\n"
        assert (done.exit_code, done.stdout) == (0, told)
    for address in ("@champion", "@challenger", "/1", ""):
        assert json.loads(fetch(f"prompts:/sort-it{address}", uri)) == best_json("inconclusive")


def test_a_prompt_that_moves_is_pinned_with_its_model_under_a_name_of_its_own(
    run: tuple[Path, str], tmp_path: Path
) -> None:
    place, uri = run
    with closing(Reader(place / "ledger.db")) as ledger:
        report = result_of(ledger)
    assert report is not None
    moved = {**best_json(), "model": {"model": "openai/new", "temperature": 0.0}}
    (tmp_path / "best.json").write_text(json.dumps(moved))
    name = "sort-it-openai-new"
    for _ in range(2):
        assert pin(report, tmp_path / "best.json", name, "moves as it is") == (
            f"prompts:/{name}@champion is version 1, at {uri}"
        )
    assert json.loads(fetch(f"prompts:/{name}@champion", uri)) == moved
    with closing(Reader(place / "ledger.db")) as ledger:
        (last,) = [one for one in decisions_of(ledger) if one.value["prompt"] == name][-1:]
    assert (last.what, last.value["verdict"]) == (PROMOTE, "moves as it is")
    with pytest.raises(ConfigError, match="not in MLflow"):
        pin(replace(report, mlflow=None), tmp_path / "best.json", name, "moves as it is")


def test_a_better_prompt_takes_the_alias_over(run: tuple[Path, str], tmp_path: Path) -> None:
    place, uri = run
    (tmp_path / "later").mkdir()
    better = {**best_json(), "messages": {"predict": [{"role": "user", "content": "Best: {{text}}"}]}}
    with closing(Ledger(place / "ledger.db")) as ledger:
        report = result_of(ledger)
    assert report is not None
    assert report.mlflow is not None
    finish(tmp_path / "later", better, uri, report.mlflow["run_id"])
    promote(place, "staging")
    assert promote(tmp_path / "later", "staging").startswith("prompts:/sort-it@staging is version 2, was version 1")
    assert promote(place, "staging").startswith("prompts:/sort-it@staging is version 1, was version 2")
    with closing(Reader(place / "ledger.db")) as reader, closing(Reader(tmp_path / "later" / "ledger.db")) as later:
        made = [(one.what, one.value["alias"], one.value["version"], one.value["was"]) for one in decisions_of(reader)]
        (other,) = decisions_of(later)
        assert reader.verify()[0].entries
    assert made[-2:] == [(PROMOTE, "staging", 1, None), (PROMOTE, "staging", 1, 2)]
    assert (other.value["version"], other.value["was"], other.value["at"]) == (2, 1, uri)


def test_a_promotion_that_failed_is_kept_with_why(run: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr("optimizer.track.promote.point", broken)
    with pytest.raises(StoppedByFailures, match="Connection refused"):
        promote(run[0], "never")
    with closing(Reader(run[0] / "ledger.db")) as reader:
        decided, failed = decisions_of(reader)[-2:]
    assert (decided.what, decided.value["alias"]) == (PROMOTE, "never")
    assert (failed.what, failed.value["why"]) == (UNDONE, "Connection refused")


def test_a_run_that_cannot_keep_who_promoted_it_is_not_promoted(run: tuple[Path, str]) -> None:
    with read_only(run[0]), pytest.raises(LedgerError, match="nothing would tell who decided to promote"):
        promote(run[0], "unseen")
    with pytest.raises(TaskError, match="not in the registry"):
        fetch("prompts:/sort-it@unseen", run[1])


def test_the_address_may_come_from_the_environment(run: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    _, uri = run
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert json.loads(fetch("prompts:/sort-it/1")) == best_json("inconclusive")


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
    finish(tmp_path, best_json(), "http://127.0.0.1:9", None)
    with pytest.raises(ConfigError, match="not in MLflow"):
        promote(tmp_path, "champion")


def test_a_server_that_is_down_is_an_outage(tmp_path: Path) -> None:
    finish(tmp_path, best_json(), "http://127.0.0.1:9", "x")
    with pytest.raises(StoppedByFailures, match="Connection refused"):
        promote(tmp_path, "champion")
    with pytest.raises(StoppedByFailures, match="Connection refused"):
        fetch("prompts:/sort-it@champion", "http://127.0.0.1:9")


def test_a_prompt_that_another_tool_registered(run: tuple[Path, str]) -> None:
    from optimizer.system.mlflow_client import make_client

    make_client(run[1]).register_prompt("foreign", "Do it.")
    with pytest.raises(TaskError, match="not registered by metier"):
        fetch("prompts:/foreign/1", run[1])
