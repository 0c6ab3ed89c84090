"""What `metier judge check` is called with, as a config and scored answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from optimizer.config.load import load_config
from optimizer.config.models import ModelConfig
from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError, TaskError, did_you_mean
from optimizer.job.judge import judge_of
from optimizer.task.data import read_rows
from optimizer.task.load import load_task_file, read_data
from optimizer.task.metrics.judge import JudgeMetric
from optimizer.task.rows import Reading, Row
from optimizer.task.schema import TaskFile
from optimizer.task.scored import Columns, ScoredAnswer, scored_answers
from optimizer.task.task import Task
from optimizer.task.trace_columns import ANSWER, FEEDBACK
from optimizer.task.traces import read_scored_traces


def judge_config(
    file: Path, config: str | None, overrides: Sequence[str], model: str | None, api_base: str | None
) -> RunConfig:
    """Return the config that says who judges: a run's, with the judge that the caller names in its place.

    Raises ConfigError for an address without a model.
    """
    settings = load_config(config or file, overrides)
    if model is None:
        if api_base is not None:
            what = f"--api-base {api_base!r:.120} is the endpoint of --model, and no --model is named"
            raise ConfigError(what, "Name it, as in: --model openai/NAME --api-base …; or leave it out.")
        return settings
    judge = ModelConfig(model=model, api_base=api_base)
    return settings.model_copy(update={"models": settings.models.model_copy(update={"judge": judge})})


def read_scored(
    task: Task, file: Path, data: str | None, scores: str | None, answers: Sequence[str]
) -> list[ScoredAnswer]:
    """Return the answers that people scored, from a data file, or from the task's own.

    `answers` are columns, each as COLUMN or OUTPUT=COLUMN. Raises ConfigError and TaskError for what does not fit.
    """
    metric = judge_of(task)
    if metric is None:
        raise ConfigError(f"{task.name}: its metric is {task.metric.name}, not judge", "Only a judge is checked.")
    named = _named(task, answers)
    written, folder = load_task_file(file)
    if data is None and written.data.mlflow is not None:
        return _from_traces(task, metric, written, folder, scores, named)
    if metric.options.reference and not named:
        what = f"{task.name}: the judge is shown the expected answer, so the answers need columns of their own"
        raise ConfigError(what, "Name them: --answer COLUMN; or set reference: false in the metric.")
    rows, label = _rows(written, folder, data)
    return scored_answers(rows, task, metric.criteria, Columns(named, scores, written.fields), label)


def _from_traces(
    task: Task, metric: JudgeMetric, written: TaskFile, folder: Path, scores: str | None, named: Mapping[str, str]
) -> list[ScoredAnswer]:
    """Return the answers of MLflow's traces that people scored by feedback: named as the criteria, or as `scores`."""
    spec, reference = written.data.mlflow, metric.options.reference
    assert spec is not None  # noqa: S101 - the caller looked, told to mypy
    outputs = {name: written.fields.get(name, name) for name in task.outputs}
    fields = {*task.inputs, *task.outputs}
    columns = {name: name for name in metric.criteria if name not in fields}
    if scores is not None:
        scores = scores.removeprefix(f"{FEEDBACK}.")
        columns[scores] = scores
    if scores in fields:
        what = f"--scores {scores}: a field of the task bears this name, too"
        raise ConfigError(what, "Rename the field, and map its column under 'fields'.")
    reading = Reading(written.data.sample, written.split.seed)
    rows = read_scored_traces(spec, outputs, columns, reference, folder, reading)
    if scores is not None and not any(scores in row.values for row in rows):
        what = f"mlflow: {spec.experiment}: no trace has feedback '{scores}' by {' or '.join(spec.sources)}"
        raise TaskError(what, "Correct --scores, or whose word counts: data.mlflow.sources.")
    answers = named or ({name: f"{ANSWER}.{name}" for name in outputs} if reference else {})
    label = f"mlflow: {spec.experiment}"
    return scored_answers(rows, task, metric.criteria, Columns(answers, scores, written.fields), label)


def _named(task: Task, answers: Sequence[str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for text in answers:
        output, separator, column = text.partition("=")
        if not separator:
            output, column = next(iter(task.outputs)), text
            if len(task.outputs) > 1:
                what = f"--answer {text}: the task has the outputs {', '.join(task.outputs)}"
                raise ConfigError(what, f"Say of which, as in --answer {output}={text}.")
        if output not in task.outputs:
            raise ConfigError(f"--answer {text}: no output '{output}'", did_you_mean(output, task.outputs))
        named[output] = column
    if named and (missing := [name for name in task.outputs if name not in named]):
        raise ConfigError(f"--answer: no column for the output '{missing[0]}'", f"Add --answer {missing[0]}=COLUMN.")
    return named


def _rows(written: TaskFile, folder: Path, data: str | None) -> tuple[list[Row], str]:
    if data is not None:
        return read_rows(Path(data), data), data
    parts = read_data(written, folder)
    return [row for rows, _ in parts.values() for row in rows], ", ".join(label for _, label in parts.values())
