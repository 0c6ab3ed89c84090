"""Scores a saved prompt on a split of a task, outside any run; wires the rooms as run.py does."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimizer.config.schema import BudgetConfig, Failures, ModelConfig, Models
from optimizer.door.budget import Budget
from optimizer.door.door import Door
from optimizer.door.engine import language_model
from optimizer.errors import TaskError
from optimizer.evaluate.evaluator import Evaluator, Result, phase_tag
from optimizer.evaluate.statistics import Interval, interval, mean
from optimizer.job.load import load_prompt
from optimizer.job.logs import expect_cut_answers
from optimizer.ledger.ledger import Ledger
from optimizer.models.fleet import Fleet
from optimizer.prompt.saved import SavedPrompt
from optimizer.task.load import load_task
from optimizer.task.task import Task
from optimizer.types import Candidate, Score


@dataclass(frozen=True)
class Scored:
    """A prompt's score on a split."""

    mean: float
    ci95: Interval
    answered: int
    failures: int


class _Fixed:
    """A builder that knows one program."""

    def __init__(self, prompt: SavedPrompt) -> None:
        self._prompt = prompt

    def build(self, candidate: Candidate) -> Any:
        """Return the saved prompt's program."""
        return self._prompt.program


def evaluate_saved(task_path: str, prompt_path: str, split: str, model: str | None, api_base: str | None) -> Scored:
    """Return a saved prompt's score on a split; raises TaskError where it does not fit the task."""
    task, prompt = load_task(task_path), load_prompt(prompt_path)
    check_fits(task, prompt, prompt_path)
    config = prompt.model if model is None else ModelConfig(model=model, api_base=api_base)
    results = answers_to(task, prompt, split, config)
    scores = [result.value for result in results if isinstance(result, Score)]
    return Scored(mean(scores), interval(scores), len(scores), len(results) - len(scores))


def answers_to(task: Task, prompt: SavedPrompt, split: str, config: ModelConfig) -> list[Result]:
    """Return a prompt's result on each example of a split, in its order, by a model started for it if it is local."""
    expect_cut_answers()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fleet = stack.enter_context(Fleet(Models(task=config), folder))
        ledger = stack.enter_context(closing(Ledger(folder / "ledger.db")))
        door = stack.enter_context(closing(Door(ledger, Budget(BudgetConfig()), fleet.endpoints, {}, Failures())))
        endpoint = fleet.endpoints["task"]
        lm = language_model(door, "task", endpoint, config.temperature)
        evaluator = Evaluator(_Fixed(prompt), lm, task.metric, list(task.outputs), ledger, endpoint.concurrency)
        examples = {"train": task.train, "validation": task.validation, "test": task.test}[split]
        return asyncio.run(evaluator.run(prompt.candidate, examples, split, 0, phase_tag("test")))


def check_fits(task: Task, prompt: SavedPrompt, path: str) -> None:
    """Raise TaskError where a prompt's fields or predictors are not those of the task."""
    mine, theirs = (set(task.inputs), set(task.outputs)), (set(prompt.task.inputs), set(prompt.task.outputs))
    if mine != theirs:
        what = f"{path}: its fields are {sorted(theirs[0] | theirs[1])}, the task's {sorted(mine[0] | mine[1])}"
        raise TaskError(what, "Give the best.json of a run of this task.")
    try:
        _ = prompt.program
    except KeyError as problem:
        what = f"{path}: it has prompts for {', '.join(prompt.candidate.prompts)}, none for {problem}"
        raise TaskError(what, "Give the best.json of a run of this task.") from None
