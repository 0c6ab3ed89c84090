"""What `metier judge check` is called with."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.jobs import make_task, rows, settings, write_config, write_lines
from support.judges import METRIC

from optimizer.errors import ConfigError
from optimizer.job.judge_input import judge_config, read_scored
from optimizer.task.load import load_task

RATED = [{**row, "said": "fruit", "rating": 1 + at % 5} for at, row in enumerate(rows())]


def test_a_judge_that_is_named_stands_in_the_place_of_the_configs(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", metric=METRIC)
    models = {"judge": "openai/a", "api_base": "http://here/v1"}
    path = str(write_config(tmp_path / "run.yaml", settings(task, models=models, judge={"measure": "tau"})))
    same = judge_config(task / "task.yaml", path, ["models.judge.temperature=0.5"], None, None)
    other = judge_config(task / "task.yaml", path, [], "openai/b", None)
    assert (same.models.by_key["judge"].model, same.models.by_key["judge"].temperature) == ("openai/a", 0.5)
    assert other.models.by_key["judge"].model == "openai/b"
    assert {one.models.by_key["judge"].api_base for one in (same, other)} == {"http://here/v1"}
    assert {one.judge.measure for one in (same, other)} == {"tau"}


def test_without_a_config_the_task_is_enough(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", metric=METRIC)
    assert judge_config(task / "task.yaml", None, [], None, None).models.judge is None
    with pytest.raises(ConfigError, match="no --model is named"):
        judge_config(task / "task.yaml", None, [], None, "http://x")


def test_the_tasks_own_data_may_be_what_people_scored(tmp_path: Path) -> None:
    folder = make_task(tmp_path / "task", RATED, metric=METRIC)
    found = read_scored(load_task(folder), folder / "task.yaml", None, "rating", ["said"])
    assert len(found) == len(RATED)
    assert found[4].score == 1.0


def test_of_data_in_several_files_all_are_read_or_the_one_that_is_named(tmp_path: Path) -> None:
    data = {"train": "train.jsonl", "test": "test.jsonl"}
    folder = make_task(tmp_path / "task", metric=METRIC, data=data, split=None)
    write_lines(folder / "train.jsonl", RATED[:40])
    write_lines(folder / "test.jsonl", RATED[40:])
    task = load_task(folder)
    assert len(read_scored(task, folder / "task.yaml", None, "rating", ["said"])) == 72
    assert len(read_scored(task, folder / "task.yaml", str(folder / "test.jsonl"), "rating", ["said"])) == 32


def test_of_several_outputs_each_needs_its_column(tmp_path: Path) -> None:
    outputs = {"kind": {}, "said": {}}
    folder = make_task(tmp_path / "task", RATED, metric=METRIC, outputs=outputs)
    task, file = load_task(folder), folder / "task.yaml"
    with pytest.raises(ConfigError, match=r"(?s)the task has the outputs kind, said.*--answer kind=text"):
        read_scored(task, file, None, "rating", ["text"])
    with pytest.raises(ConfigError, match="no column for the output 'said'"):
        read_scored(task, file, None, "rating", ["kind=said"])
    found = read_scored(task, file, None, "rating", ["kind=said", "said=kind"])
    assert found[0].answer == {"kind": "fruit", "said": RATED[0]["kind"]}
