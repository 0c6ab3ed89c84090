from __future__ import annotations

from dataclasses import replace

from experiments.field.cell import Cell, Job
from experiments.field.dspy_peers import _settings, halved
from experiments.field.methods import SMALL


def test_half_the_knobs_are_those_for_half_the_calls_of_the_same_cell() -> None:
    job = Job(Cell("banking10", "gepa-half", "shipped", SMALL, 200, 0), "task", "work", "http://127.0.0.1")
    assert _settings("GEPA", halved(job))[0] == {"max_metric_calls": 85}
    assert job.cell.budget == 200
    assert replace(halved(job), cell=job.cell) == job
