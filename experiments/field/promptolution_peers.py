"""promptolution's optimizers, put together from its parts as its README does, in sizes that fit the budget.

The prompts to start from are the user's own and three that the library's own function writes. When the
budget is spent a step fails, and `optimize` returns what it had after the last whole one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from promptolution.llms.api_llm import APILLM
from promptolution.optimizers.base_optimizer import BaseOptimizer
from promptolution.optimizers.capo import CAPO
from promptolution.optimizers.evoprompt_ga import EvoPromptGA
from promptolution.optimizers.opro import OPRO
from promptolution.predictors.maker_based_predictor import MarkerBasedPredictor
from promptolution.tasks.classification_tasks import ClassificationTask
from promptolution.utils.prompt_creation import create_prompts_from_task_description

from experiments.field.cell import SHOWN, Found, Job
from optimizer.task.task import Task
from optimizer.types import Example

PROMPTS = 4
# More than the budget allows: it ends the loop.
STEPS = 50


@dataclass(frozen=True)
class Bench:
    """What every optimizer is given: predictor, data, the model that writes prompts, and prompts to begin with."""

    predictor: MarkerBasedPredictor
    data: ClassificationTask
    writer: APILLM
    initial: list[str]
    train: pd.DataFrame


def capo(job: Job, task: Task) -> Found:
    """CAPO: 2 crossovers a step, blocks of 1/40 of the budget (its default of 30 examples is one step's race)."""

    def build(it: Bench) -> BaseOptimizer:
        return CAPO(
            predictor=it.predictor,
            task=it.data,
            meta_llm=it.writer,
            initial_prompts=it.initial,
            crossovers_per_iter=2,
            max_n_blocks_eval=4,
            df_few_shots=it.train,
        )

    return _optimized(job, task, build, block=max(2, job.cell.budget // 40))


def evoprompt(job: Job, task: Task) -> Found:
    """EvoPrompt's genetic algorithm, each prompt judged on 1/20 of the budget."""

    def build(it: Bench) -> BaseOptimizer:
        return EvoPromptGA(predictor=it.predictor, task=it.data, meta_llm=it.writer, initial_prompts=it.initial)

    return _optimized(job, task, build, block=max(2, job.cell.budget // 20))


def opro(job: Job, task: Task) -> Found:
    """OPRO, each prompt judged on 1/20 of the budget."""

    def build(it: Bench) -> BaseOptimizer:
        return OPRO(predictor=it.predictor, task=it.data, meta_llm=it.writer, initial_prompts=it.initial)

    return _optimized(job, task, build, block=max(2, job.cell.budget // 20))


def _optimized(job: Job, task: Task, build: Callable[[Bench], BaseOptimizer], block: int) -> Found:
    random.seed(job.cell.seed)
    np.random.seed(job.cell.seed)
    it = _bench(job, task, block)
    optimizer = build(it)
    best = optimizer.optimize(n_steps=STEPS)[0]

    def answer(inputs: Mapping[str, Any]) -> Mapping[str, Any] | None:
        predictions, _ = it.predictor.predict([str(best)], [str(next(iter(inputs.values())))])
        return {next(iter(task.outputs)): predictions[0]}

    summary = {
        "instruction": best.instruction[:SHOWN],
        "format": "one message",
        "demos": len(best.few_shots),
        "policy": "static",
    }
    return Found(answer, summary)


def _bench(job: Job, task: Task, block: int) -> Bench:
    """Set the library up for one cell: one call at a time for the one slot, no retries that can only be refused."""
    name, spec = next(iter(task.outputs.items()))
    classes = None if spec.choices is None else [choice.lower() for choice in spec.choices]
    settings: dict[str, Any] = {"model_id": "local", "api_key": "none", "max_concurrent_calls": 1, "max_retries": 0}
    reader = APILLM(api_url=job.base("task"), call_kwargs={"temperature": 0.0}, **settings)
    writer = APILLM(api_url=job.base("prompt"), **settings)
    predictor = MarkerBasedPredictor(reader, classes=classes)
    description = f"{task.description} {task.instruction} {predictor.extraction_description}"
    data = ClassificationTask(
        _frame(task, task.validation),
        task_description=description,
        n_subsamples=block,
        eval_strategy="sequential_block",
        seed=job.cell.seed,
        metric=lambda wanted, given: task.metric(Example({}, {name: wanted[0]}), {name: given[0]})[0],
    )
    written = create_prompts_from_task_description(description, writer, n_prompts=PROMPTS - 1)
    initial = [f"{task.instruction} {predictor.extraction_description}", *written]
    return Bench(predictor, data, writer, initial, _frame(task, task.train))


def _frame(task: Task, split: tuple[Example, ...]) -> pd.DataFrame:
    """Return the examples as the library wants them; its predictor answers in small letters, so labels are in them."""
    labels = next(iter(task.outputs.values())).choices is not None
    rows = [(str(next(iter(e.inputs.values()))), str(next(iter(e.outputs.values())))) for e in split]
    return pd.DataFrame([(x, y.lower() if labels else y) for x, y in rows], columns=["x", "y"])
