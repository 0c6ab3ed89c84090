"""Which texts of a task go to whom in a run: each class by its name, with how many there are in words.

`tests/job/test_dry.py` runs jobs and looks for what was sent and is not listed here.
"""

from __future__ import annotations

from typing import get_args

from optimizer.config.presets import LIBRARIES, PRESETS, Preset
from optimizer.config.schema import ProposerName, RunConfig
from optimizer.job.judge import judge_of
from optimizer.propose.registry import WRITING
from optimizer.propose.writer import shown_by
from optimizer.search.presets import preset_config
from optimizer.search.schedule import Schedule
from optimizer.task.metrics.consistency import to_paraphrase
from optimizer.task.task import Task

# What a template shows of a training example, as it is called here.
_SHOWN = {"inputs": "training inputs", "outputs": "training labels", "answer": "answers", "feedback": "feedback"}


def task_texts(config: RunConfig, task: Task, schedule: Schedule, predictors: int) -> dict[str, str]:
    """Return what the task model is sent by a program of so many predictors."""
    texts = {"instructions": "instructions with field names and choices"}
    if _shows_demos(config):
        texts["training labels"] = f"demos from {len(task.train)} training examples, with their labels"
    texts["training inputs"] = f"inputs of {len(task.train)} training examples"
    texts["validation inputs"] = f"inputs of {len(schedule.examples)} validation examples"
    seen = "their labels by the searches on other folds" if task.folds else "their labels never"
    texts["test inputs"] = f"inputs of {len(task.test)} test examples, {seen}"
    if predictors > 1 or config.search.strategy in LIBRARIES:
        texts["answers"] = "answers of the task model"
    return texts


def _shows_demos(config: RunConfig) -> bool:
    if config.search.strategy in LIBRARIES:
        return True
    searched = preset_config(config.search, PRESETS.get(config.search.strategy, Preset()))
    return max(searched.demos.counts) > 0 or (config.test.baselines > 0 and max(config.search.demos.counts) > 0)


def writer_texts(config: RunConfig, task: Task, schedule: Schedule) -> dict[str, str]:
    """Return what the prompt model is sent: what the files show that the asked proposers fill in."""
    words = {
        "training inputs": f"inputs of {len(task.train)} training examples",
        "training labels": "their labels",
        "answers": "answers of the task model to them",
        "feedback": "the metric's feedback",
        "validation inputs": f"inputs of {len(schedule.examples)} validation examples",
        "validation labels": "labels of these",
    }
    texts = {"instructions": "instructions with their scores, the task's description, field names and choices"}
    if to_paraphrase(task.metric, task.test):
        texts["validation inputs"] = f"{words['validation inputs']}, to be paraphrased"
        texts["test inputs"] = f"inputs of {len(task.test)} test examples, to be paraphrased"
    if config.search.strategy in LIBRARIES:  # what it shows is its own affair
        return texts | words
    searched = preset_config(config.search, PRESETS.get(config.search.strategy, Preset()))
    asked = set(WRITING) & set(searched.proposers or get_args(ProposerName))
    shown = {_SHOWN[part] for name in asked for part in shown_by(name)}
    return {name: text for name, text in words.items() if name in shown} | texts


def judge_texts(config: RunConfig, task: Task, schedule: Schedule) -> dict[str, str]:
    """Return what a judge's model is sent, where the task's metric is one."""
    metric = judge_of(task)
    if metric is None:
        return {}
    counts = {"training": len(task.train), "validation": len(schedule.examples), "test": len(task.test)}
    shown = {"inputs": metric.options.inputs, "labels": metric.options.reference}
    texts = {"rubric": "the rubric", "answers": "answers of the task model"}
    for what, is_shown in shown.items():
        if is_shown:
            texts |= {f"{part} {what}": f"{what} of {count} {part} examples" for part, count in counts.items()}
    return texts


def mirror_texts(task: Task, schedule: Schedule) -> dict[str, str]:
    """Return what MLflow holds of a run."""
    return {
        "instructions": "prompts",
        "training inputs": "demos",
        "training labels": "with their labels",
        "validation inputs": f"inputs of {len(schedule.examples)} validation examples",
        "test inputs": f"inputs of {len(task.test)} test examples",
        "validation labels": "labels of both",
        "test labels": "those of the test, too",
        "answers": "answers",
        "feedback": "scores and feedback",
    }
