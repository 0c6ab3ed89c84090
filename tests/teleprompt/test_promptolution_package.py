"""promptolution's optimizers as strategies of a run, where the package is installed; it takes seconds to import."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from support.jobs import lighten, write_config

from optimizer.config.load import load_config
from optimizer.errors import ConfigError
from optimizer.job.run import run_config
from optimizer.ledger.reader import Reader
from optimizer.ledger.spend import usage_by_role
from optimizer.ledger.trials import all_trials
from optimizer.testing.fake_server import FakeServer, Messages, text_of
from teleprompt.made import BUDGET, answer, settings, small_task

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
pytest.importorskip("promptolution")


def reply(messages: Messages) -> str:
    """Answer what promptolution's prompts ask for; all else as for the other strategies."""
    whole = "\n".join(map(text_of, messages))
    if "<prompt>" in whole:
        return f"<prompt>Name the team, variant {len(whole) % 83}.</prompt>"
    return answer(messages)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer(reply) as running:
        yield running


@pytest.mark.parametrize("name", ["CAPO", "EvoPromptGA", "OPRO"])
def test_an_optimizer_of_promptolutions_is_a_strategy(
    name: str, tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    task = small_task(tmp_path / "task")
    data = settings(f"promptolution.{name}", task, server.api_base, run_dir=str(tmp_path / "run"))
    report = run_config(load_config(write_config(tmp_path / "run.yaml", data)))
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        trials = all_trials(ledger)
        spent = sum(usage.calls for usage in usage_by_role(ledger, "search").values())
    assert spent <= BUDGET
    assert trials[0].candidate.origin == "seed"
    assert len(trials) >= 4
    assert {row.candidate.origin for row in trials[1:]} == {"promptolution"}
    assert all(row.state != "running" for row in trials)
    if name == "CAPO":
        assert any(row.candidate.prompts["predict"].count for row in trials)
    data["search"]["options"] = {"crossover_per_iter": 3}
    with pytest.raises(ConfigError) as refused:
        run_config(load_config(write_config(tmp_path / "run.yaml", data | {"run_dir": str(tmp_path / "other")})))
    assert "has no option" in refused.value.what


def test_the_prompts_to_begin_with_may_be_those_of_a_file(
    tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lighten(monkeypatch.setattr)
    task = small_task(tmp_path / "task")
    texts = [f"Name the team, as number {number} says." for number in range(5)]
    (task / "instructions.yaml").write_text(yaml.safe_dump({"instructions": texts}), encoding="utf-8")
    data = settings("promptolution.EvoPromptGA", task, server.api_base, run_dir=str(tmp_path / "run"))
    data["search"]["options"] = {"initial_prompts": "instructions.yaml"}
    report = run_config(load_config(write_config(tmp_path / "run.yaml", data)))
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        tried = {row.candidate.prompts["predict"].instruction for row in all_trials(ledger)}
    assert {*texts[:3]} <= tried
    assert not {*texts[3:]} & tried
    data["search"]["options"] = {"initial_prompts": ["instructions.yaml"]}
    with pytest.raises(ConfigError) as refused:
        run_config(load_config(write_config(tmp_path / "run.yaml", data | {"run_dir": str(tmp_path / "other")})))
    assert "Name a file of the task's folder" in refused.value.remedy
