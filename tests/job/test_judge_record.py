"""judge.json beside a task, and what a run says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.jobs import make_task
from support.judges import METRIC

from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError, TaskError
from optimizer.evaluate.concordance import MEASURES, Figure
from optimizer.job.judge import judge_of
from optimizer.job.judge_record import FILE, JudgeRecord, agreement_note, as_record, read_record, write_record
from optimizer.task.load import load_task
from optimizer.task.task import Task


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return load_task(make_task(tmp_path / "task", metric=METRIC))


def record(task: Task, kappa: float = 0.5, **changes: Any) -> JudgeRecord:
    metric = judge_of(task)
    assert metric is not None
    figures = {name: Figure(kappa, (kappa - 0.2, kappa + 0.2)) for name in MEASURES}
    made = JudgeRecord(
        task=task.name,
        model="openai/judge",
        rubric=metric.rubric_digest,
        answers=120,
        failed=0,
        checked="2030-01-01T00:00:00+00:00",
        agreement=as_record(figures),
        criteria={},
        constant=0.4,
    )
    return made.model_copy(update=changes)


def note(task: Task, least: float | None = None, model: str = "openai/judge") -> str:
    data = {"task": "t", "models": {"judge": model}, "judge": {"least_agreement": least}}
    return agreement_note(RunConfig.model_validate(data), task)


def test_what_is_written_is_read_again(task: Task) -> None:
    assert read_record(task.folder) is None
    path = write_record(task.folder, record(task))
    assert path == task.folder / FILE
    assert read_record(task.folder) == record(task)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"task": "t"}', '{"taks": 1}'])
def test_another_file_of_that_name_is_refused(task: Task, text: str) -> None:
    (task.folder / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(TaskError, match=r"judge\.json"):
        note(task)


def test_a_record_without_a_figure_is_refused(task: Task) -> None:
    path = write_record(task.folder, record(task))
    data = json.loads(path.read_text(encoding="utf-8"))
    del data["agreement"]["tau"]
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(TaskError, match="has no tau"):
        note(task)


def test_a_run_is_told_of_its_judge(task: Task) -> None:
    assert "never checked against people: metier judge check" in note(task)
    write_record(task.folder, record(task))
    assert note(task) == (
        "the judge was checked against people: Cohen's kappa 0.50 [0.30, 0.70] on 120 answers that people scored"
    )
    assert "not this judge was checked against people, but openai/judge" in note(task, model="openai/other")
    write_record(task.folder, record(task, 0.1))
    assert note(task).endswith("which is no more than chance may give")
    write_record(task.folder, record(task, rubric="another"))
    assert "with another rubric" in note(task, 0.9)


def test_a_judge_below_what_is_wanted_is_refused_with_its_figures(task: Task) -> None:
    write_record(task.folder, record(task))
    assert note(task, 0.5)
    with pytest.raises(ConfigError, match=r"kappa 0\.50 \[0\.30, 0\.70\] on 120 .*least_agreement is 0\.6"):
        note(task, 0.6)


def test_where_no_judge_is_asked_nothing_is_said(tmp_path: Path) -> None:
    assert agreement_note(RunConfig(task="t"), load_task(make_task(tmp_path / "other"))) == ""
