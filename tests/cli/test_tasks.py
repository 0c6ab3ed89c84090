from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from support.jobs import make_task

from optimizer.cli.main import cli


def invoke(*arguments: object) -> str:
    done = CliRunner().invoke(cli, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return done.output


def test_list_names_each_task_with_what_it_is(tmp_path: Path) -> None:
    make_task(tmp_path / "one", description="the first")
    make_task(tmp_path / "three")
    assert invoke("tasks", "list", tmp_path).splitlines() == ["one    the first", "three  Sort it."]


def test_show_tells_fields_splits_labels_and_an_example(tmp_path: Path) -> None:
    told = invoke("tasks", "show", make_task(tmp_path / "one"))
    for text in (
        "instruction: Sort it.",
        "input text (str): a sentence",
        "metric: choice",
        "fruit 24, metal 24, bird 24",
    ):
        assert text in told
    assert "examples: " in told
    assert "example (examples.jsonl:" in told


def test_check_says_that_a_task_is_sound(tmp_path: Path) -> None:
    assert "sorting is sound. examples: " in invoke("tasks", "check", make_task(tmp_path / "one"))
