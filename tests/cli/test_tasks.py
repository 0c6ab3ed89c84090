from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.jobs import ROOT, make_task

from optimizer.cli.main import cli
from optimizer.system.contained.run import lacking
from optimizer.task.load import load_task

BUNDLED = ROOT / "tasks"


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


@pytest.mark.parametrize("name", sorted(file.parent.name for file in BUNDLED.glob("*/task.yaml")))
def test_each_bundled_task_is_sound(name: str) -> None:
    if name == "sql_write" and (missing := lacking()):
        pytest.skip(f"this machine cannot contain code: {missing}")
    assert f"{name} is sound. examples: " in invoke("tasks", "check", BUNDLED / name)


def test_reviews_are_balanced_in_each_split_and_repeat_no_six_words() -> None:
    task = load_task(BUNDLED / "review_tone")
    splits = (task.train, task.validation, task.test)
    for split in splits:
        assert len(set(Counter(example.outputs["tone"] for example in split).values())) == 1
    reviews = [re.findall(r"[a-z0-9']+", example.inputs["review"].lower()) for split in splits for example in split]
    runs = Counter(run for words in reviews for run in {tuple(words[at : at + 6]) for at in range(len(words) - 5)})
    assert max(runs.values()) == 1
