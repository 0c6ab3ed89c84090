from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest
from click.testing import CliRunner, Result
from support.jobs import lighten, make_task, rows, rule, settings, write_config

from optimizer.cli.main import cli
from optimizer.config.models import ModelConfig
from optimizer.prompt.saved import dump_prompt
from optimizer.task.load import load_task
from optimizer.testing.fake_server import FakeServer
from optimizer.types import Candidate, Prompt

pytestmark = pytest.mark.timeout(120)
GOOD, DAMAGED = "Answer with one of: fruit, metal, bird.", "Sort it."


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(rule) as running:
        yield running


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lighten(monkeypatch.setattr)
    return make_task(tmp_path / "task", rows(), split={"train": 0.2, "validation": 0.2, "test": 0.6})


def saved(task: Path, server: FakeServer, instruction: str, name: str) -> Path:
    model = ModelConfig(model="openai/fake", api_base=server.api_base)
    path = task.parent / name
    path.write_text(dump_prompt(load_task(task), Candidate({"predict": Prompt(instruction)}), model, {}))
    return path


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["check", "--trust", *map(str, arguments)])


def test_a_damaged_prompt_is_caught_and_the_same_prompt_passes_twice(task: Path, server: FakeServer) -> None:
    good, damaged = saved(task, server, GOOD, "good.json"), saved(task, server, DAMAGED, "damaged.json")
    for _ in range(2):
        told = invoke(good, "--task", task, "--min", "0.85")
        assert told.exit_code == 0, told.output
        assert told.stdout.startswith(f"holds: {good} on sorting\n  holds   1.000 [")
    told = invoke(damaged, "--task", task, "--min", "0.85")
    assert told.exit_code == 1
    assert told.stdout.startswith("fell: ")
    assert invoke(good, "--task", task, "--min", "0.99").exit_code == 2
    assert invoke(good, "--task", task, "--against", good).exit_code == 0
    assert invoke(damaged, "--task", task, "--against", good).exit_code == 1
    assert invoke(good, "--task", task, "--min", "0.85", "--against", damaged).exit_code == 0
    assert invoke(damaged, "--task", task, "--min", "0.1", "--against", good).exit_code == 1


def test_it_tells_machines(task: Path, server: FakeServer) -> None:
    damaged, junit = saved(task, server, DAMAGED, "damaged.json"), task.parent / "junit.xml"
    told = invoke(damaged, "--task", task, "--min", "0.85", "--json", "--junit", junit)
    data = json.loads(told.stdout)
    assert (told.exit_code, data["outcome"], data["failures"]) == (1, "fell", 0)
    assert data["criteria"][0]["figure"] < 0.5
    assert data["examples"] == len(load_task(task).test)
    assert [child.tag for case in Tree.parse(junit).getroot() for child in case] == ["failure"]


def test_a_config_is_checked_by_its_run_or_else_by_its_tasks_instruction(task: Path, server: FakeServer) -> None:
    run = task.parent / "run"
    path = write_config(task.parent / "run.yaml", settings(task, server.api_base, run_dir=str(run)))
    told = invoke(path, "--min", "0.85")
    assert (told.exit_code, told.stdout.splitlines()[0]) == (1, "fell: the instruction of sorting on sorting")
    run.mkdir()
    saved(task, server, GOOD, "good.json").rename(run / "best.json")
    told = invoke(path, "--min", "0.85")
    assert (told.exit_code, told.stdout.splitlines()[0]) == (0, f"holds: {run / 'best.json'} on sorting")


def test_an_endpoint_that_fails_leaves_it_open(task: Path, server: FakeServer) -> None:
    good = saved(task, server, GOOD, "good.json")
    for _ in range(60):
        server.fail(400)
    told = invoke(good, "--task", task, "--min", "0.85")
    assert told.exit_code == 2, told.output


def test_bad_input_is_one_clear_message(task: Path, server: FakeServer) -> None:
    good = saved(task, server, GOOD, "good.json")
    for arguments, message in (
        ((good, "--task", task), "nothing to check the prompt for"),
        ((good, "--min", "0.5"), "Name its task: --task FOLDER."),
        ((good, "--min", "5", "--task", task), "is not in the range"),
        ((task / "none.json", "--min", "0.5", "--task", task), "none.json"),
        ((task / "none.yaml", "--min", "0.5"), "none.yaml"),
    ):
        told = invoke(*arguments)
        assert told.exit_code == 2, arguments
        assert message in told.stderr
        assert "Traceback" not in told.output
    assert server.count == 0
