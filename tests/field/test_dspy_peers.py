from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from experiments.field.cell import Cell, Job
from experiments.field.dspy_peers import ANSWER_TOKENS, _settings, answer_tokens, halved
from experiments.field.methods import SMALL
from experiments.field.tasks import make_task
from optimizer.task.load import load_task


def test_in_our_format_an_answer_may_be_as_long_as_ours(data: Path, tmp_path: Path) -> None:
    task = load_task(make_task("banking10", data, 0, (20, 10, 10), tmp_path / "task"))
    longest = max(len(label) for example in task.train for label in example.outputs.values())
    assert longest / 2 < answer_tokens(task, "turns") < ANSWER_TOKENS
    assert answer_tokens(task, "shipped") == ANSWER_TOKENS


def test_half_the_knobs_are_those_for_half_the_calls_of_the_same_cell() -> None:
    job = Job(Cell("banking10", "gepa-half", "shipped", SMALL, 200, 0), "task", "work", "http://127.0.0.1")
    assert _settings("GEPA", halved(job))[0] == {"max_metric_calls": 85}
    assert job.cell.budget == 200
    assert replace(halved(job), cell=job.cell) == job
