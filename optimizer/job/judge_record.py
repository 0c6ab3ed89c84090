"""judge.json beside a task: how far a judge agreed with people, and what a run makes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from optimizer.config.schema import JudgeConfig, RunConfig
from optimizer.config.strict import Strict, validate
from optimizer.errors import ConfigError, TaskError
from optimizer.evaluate.concordance import MEASURES, Figure
from optimizer.evaluate.statistics import Interval
from optimizer.job.judge import judge_of
from optimizer.system.files import is_file, write_atomically
from optimizer.task.task import Task
from optimizer.task.text import parse_json

FILE = "judge.json"
CHECK = "metier judge check"


class FigureRecord(Strict):
    """A figure with its 95 % interval."""

    value: float
    ci95: Interval

    @property
    def figure(self) -> Figure:
        """The same as a value."""
        return Figure(self.value, self.ci95)


class JudgeRecord(Strict):
    """How far a judge, of one rubric and one model, agreed with people on so many answers."""

    task: str
    model: str
    rubric: str
    answers: int
    failed: int
    checked: str
    agreement: dict[str, FigureRecord]
    criteria: dict[str, dict[str, FigureRecord]]
    constant: float

    def too_little(self, wanted: JudgeConfig) -> str:
        """Return how the judge agrees too little with people, in words; "" where it agrees enough."""
        if wanted.least_agreement is None or self.agreement[wanted.measure].value >= wanted.least_agreement:
            return ""
        return f"{self.words(wanted)}, and judge.least_agreement is {wanted.least_agreement:g}"

    def words(self, wanted: JudgeConfig) -> str:
        """Return the figure that is asked for, in words."""
        figure = self.agreement[wanted.measure].figure
        return f"{MEASURES[wanted.measure]} {figure} on {self.answers} answers that people scored"


def as_record(figures: Mapping[str, Figure]) -> dict[str, FigureRecord]:
    """Return figures as judge.json has them."""
    return {name: FigureRecord(value=one.value, ci95=one.ci95) for name, one in figures.items()}


def write_record(folder: Path, record: JudgeRecord) -> Path:
    """Write judge.json into a task's folder, over an earlier one; returns its path."""
    path = folder / FILE
    write_atomically(path, json.dumps(record.model_dump(), ensure_ascii=False, indent=2) + "\n", private=False)
    return path


def read_record(folder: Path) -> JudgeRecord | None:
    """Return what a task's folder says of its judge, None where it says nothing.

    Raises TaskError for a file that is none of ours.
    """
    path = folder / FILE
    if not is_file(path):
        return None
    try:
        data = parse_json(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError) as problem:
        raise TaskError(f"{path}: cannot be read ({problem})", f"Delete it, or let {CHECK} write it anew.") from None
    record = validate(JudgeRecord, data, str(path), TaskError)
    if missing := set(MEASURES) - set(record.agreement):
        raise TaskError(f"{path}: has no {sorted(missing)[0]}", f"Let {CHECK} write it anew.")
    return record


def agreement_note(config: RunConfig, task: Task) -> str:
    """Return what a verdict should say of its judge's agreement with people; "" where no judge is asked.

    Raises ConfigError where it is known to agree too little.
    """
    metric, judge = judge_of(task), config.models.judge
    if metric is None or judge is None:
        return ""
    where = "TASK" if task.file is None else task.file.parent
    remedy = f"{CHECK} {where} --scores COLUMN"
    record = None if task.file is None else read_record(task.file.parent)
    if record is None:
        return f"the judge was never checked against people: {remedy}"
    if record.rubric != metric.rubric_digest:
        return f"the judge was checked against people with another rubric, not with this one: {remedy}"
    if record.model != judge.model:
        return f"not this judge was checked against people, but {record.model}: {remedy}"
    if too_little := record.too_little(config.judge):
        what = f"{task.name}: the judge {judge.model} agrees too little with people: {too_little}"
        raise ConfigError(what, f"Better the rubric, or name another judge, and check it: {remedy}.")
    chance = "" if record.agreement["kappa"].ci95[0] > 0 else ", which is no more than chance may give"
    return f"the judge was checked against people: {record.words(config.judge)}{chance}"
