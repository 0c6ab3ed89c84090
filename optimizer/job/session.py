"""A session: the models, ledger, door, programs and evaluator of one job, opened and closed together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from optimizer.config.models import ANSWER_TOKENS, SHORT_TOKENS, ModelConfig
from optimizer.config.presets import LIBRARIES
from optimizer.config.schema import RunConfig
from optimizer.door.budget import Budget
from optimizer.door.door import Door
from optimizer.door.engine import language_model
from optimizer.evaluate.evaluator import Evaluator, TaskModel
from optimizer.job.judge import with_judge
from optimizer.job.logs import log_to
from optimizer.ledger.answers import known_failures
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.shared import SharedCache
from optimizer.models.embed import Embedder
from optimizer.models.fleet import Fleet, Say
from optimizer.models.prices import Price, prices_of
from optimizer.models.providers import Endpoint
from optimizer.models.store import answers_path
from optimizer.prompt.builder import ProgramBuilder
from optimizer.prompt.program import Programs
from optimizer.prompt.student import Students
from optimizer.propose.writer import writing_model
from optimizer.task.metrics.similarity import SimilarityMetric
from optimizer.task.task import Task
from optimizer.types import ModelKey, task_key

if TYPE_CHECKING:
    import dspy

T = TypeVar("T")


@dataclass(frozen=True)
class Session:
    """What one job has open, models by their keys. `writer` writes instructions; None where only templates do."""

    task: Task
    config: RunConfig
    ledger: Ledger
    models: Fleet
    budget: Budget
    prices: Mapping[ModelKey, Price]
    door: Door
    programs: ProgramBuilder
    evaluator: Evaluator
    writer: dspy.LM | None

    @property
    def folder(self) -> Path:
        """The job's folder: where its ledger lies."""
        return self.ledger.path.parent


@contextmanager
def open_session(
    task: Task,
    config: RunConfig,
    ledger: Ledger,
    endpoints: Mapping[ModelKey, Endpoint] = MappingProxyType({}),
    programs: ProgramBuilder | None = None,
    say: Say = lambda text: None,
    warn: Say = lambda text: None,
) -> Iterator[Session]:
    """Open all that a job needs, and close it in reverse order; the folder is the ledger's.

    `endpoints` are of models that the caller holds in memory; the others that the config names are started here.
    `programs` build the candidates, by default those of the task. `say` is told what is being done, by the door's
    thread too, and `warn` what is done without. Raises ConfigError, ModelError.
    """
    with ExitStack() as stack:
        stack.enter_context(log_to(ledger.path.parent / "run.log"))
        budget = Budget(config.budget, ledger.clock.now, time.time)  # its clock begins here
        prices = prices_of(config)
        models = stack.enter_context(Fleet(config.models, ledger.path.parent, say, endpoints))
        shared = stack.enter_context(closing(SharedCache(answers_path(), warn))) if config.cache.shared else None
        endpoints, prices_by_role = with_writer(models.endpoints), with_writer(prices)
        door = Door(ledger, budget, endpoints, prices_by_role, config.failures, shared, config.privacy)
        stack.enter_context(closing(door))
        door.connections.news = say
        door.check_batches()
        task = with_judge(task, config, door, models)
        programs = programs or task_programs(task, say)
        if isinstance(task.metric, SimilarityMetric):
            task = task.changed(metric=task.metric.bound(programs.embed))
        evaluator = _evaluator(task, config, programs, door, models)
        yield Session(
            task, config, ledger, models, budget, prices, door, programs, evaluator, _writer(config, door, models)
        )


def task_programs(task: Task, say: Say = lambda text: None) -> ProgramBuilder:
    """Return what builds the candidates of a task, with the local embedder."""
    made: ProgramBuilder = (Programs if task.module is None else Students)(task, task.train, Embedder.local(say))
    return made


def _evaluator(task: Task, config: RunConfig, programs: ProgramBuilder, door: Door, models: Fleet) -> Evaluator:
    first, *others = (_asked(door, task, config, models, name) for name in config.models.task_models)
    return Evaluator(
        programs,
        first.lm,
        task.metric,
        None if task.module is not None else list(task.outputs),  # a module's metric sees its whole answer
        door.ledger,
        first.concurrency,
        door.budget.calls_left,
        # Other libraries' optimizers ask again as they like; a search of ours must not, or it would take another way.
        known_failures(door.ledger) if config.search.strategy not in LIBRARIES else {},
        dict(zip(config.models.task_models[1:], others, strict=True)),
    )


def _asked(door: Door, task: Task, config: RunConfig, models: Fleet, name: str) -> TaskModel:
    """Return a task model as its candidates ask it."""
    key = task_key(name)
    endpoint = models.endpoints[key]
    return TaskModel(
        language_model(door, key, endpoint, asked_model(config, task, endpoint, name)), endpoint.concurrency
    )


def asked_model(config: RunConfig, task: Task, endpoint: Endpoint, name: str = "") -> ModelConfig:
    """Return how a task model is asked: answers have a wide limit where nobody sets one.

    A model that reasons, and a program that is given as an object, have the limits of plain DSPy.
    """
    model = config.models.by_key[task_key(name)]
    if model.max_tokens is not None or endpoint.reasons or model.reasons or task.module is not None:
        return model
    short = all(spec.is_short for spec in task.outputs.values())
    return model.model_copy(update={"max_tokens": SHORT_TOKENS if short else ANSWER_TOKENS})


def _writer(config: RunConfig, door: Door, models: Fleet) -> dspy.LM | None:
    """Return the LM that writes instructions; optimizers of libraries take the task model at need.

    They set no limit of their own, and a small model may write for ever.
    """
    library = config.search.strategy in LIBRARIES
    if "prompt" not in models.endpoints and not library:
        return None
    endpoint, model = with_writer(models.endpoints)["prompt"], writing_model(config.models)
    if library and model.max_tokens is None and not (endpoint.reasons or model.reasons):
        model = model.model_copy(update={"max_tokens": ANSWER_TOKENS})
    return language_model(door, "prompt", endpoint, model)


def with_writer(by_role: Mapping[ModelKey, T]) -> dict[ModelKey, T]:
    """Return endpoints or prices with the task model in the prompt model's role, where that is empty."""
    return {"prompt": by_role["task"], **by_role} if "task" in by_role else dict(by_role)
