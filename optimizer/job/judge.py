"""A run's judge: whether task and config agree that there is one, and the metric with its model to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.config.models import ModelConfig
from optimizer.config.schema import RunConfig
from optimizer.door.door import Door
from optimizer.door.engine import language_model
from optimizer.errors import ConfigError
from optimizer.evaluate.judging import Judge, TunedJudge
from optimizer.models.fleet import Fleet
from optimizer.models.providers import Endpoint
from optimizer.prompt.saved import parse_prompt
from optimizer.task.metrics.judge import JudgeMetric
from optimizer.task.metrics.tuned import TunedPrompt
from optimizer.task.task import Task

if TYPE_CHECKING:
    import dspy

NO_MODEL = "the task's metric is judge, and no model is named to ask"
NO_METRIC = "a judge is named, and the task's metric asks none, so it would never be called"
NAME_ONE = "Name one, as in models: {judge: openai/gpt-4.1-mini}."
LEAVE_IT = "Leave models.judge out, or write metric: {name: judge, …} in the task."


def judge_of(task: Task) -> JudgeMetric | None:
    """Return a task's metric where it is a judge, None where it is another."""
    return task.metric if isinstance(task.metric, JudgeMetric) else None


def refuse_judge(config: RunConfig, task: Task, name_one: str = NAME_ONE, leave_it: str = LEAVE_IT) -> None:
    """Raise ConfigError where a task wants a judge and the config names none, or the other way round."""
    wanted, named = judge_of(task) is not None, config.models.judge is not None
    if wanted and not named:
        raise ConfigError(f"{task.name}: {NO_MODEL}", name_one)
    if named and not wanted:
        raise ConfigError(f"{task.name}: {NO_METRIC}", leave_it)


def with_judge(task: Task, config: RunConfig, door: Door, models: Fleet) -> Task:
    """Return a task whose metric asks the judge's model through the door; unchanged where its metric asks none.

    Raises ConfigError where it should, and no model is named.
    """
    refuse_judge(config, task)
    metric = judge_of(task)
    if metric is None or config.models.judge is None:
        return task
    asked, endpoint = config.models.by_key["judge"], models.endpoints["judge"]
    if asked.max_tokens is None and not endpoint.reasons:
        asked = asked.model_copy(update={"max_tokens": metric.reply_tokens})
    lm = language_model(door, "judge", endpoint, asked)
    tuned = None if metric.tuned is None else TunedJudge(lm, _tuned_program(metric.tuned, asked, endpoint))
    return task.changed(metric=metric.bound(asked.model, Judge(lm), tuned))


def _tuned_program(tuned: TunedPrompt, asked: ModelConfig, endpoint: Endpoint) -> dspy.Module:
    """Return what grades by a tuned prompt; raises TaskError where it is calibrated for another model than is asked."""
    saved = parse_prompt(tuned.text, str(tuned.path)).answered_by(asked)
    saved.check_file(endpoint.sha256)
    return saved.program


def judge_notes(task: Task) -> list[str]:
    """Return what whoever checks a task should know of its judge: that it needs a model, and is worth a check."""
    if judge_of(task) is None:
        return []
    return [
        "its metric is judge: a run of it has to name models.judge, and pays for the judge's calls too",
        "whether a judge agrees with people is told by metier judge check",
    ]
