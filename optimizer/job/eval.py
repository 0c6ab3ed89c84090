"""`metier eval`: scores a saved prompt on a split of a task, outside any run."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from optimizer.config.models import ModelConfig, Models
from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError, TaskError
from optimizer.evaluate.aggregate import aggregate_of, answers
from optimizer.evaluate.evaluator import Result, phase_tag
from optimizer.evaluate.statistics import Interval
from optimizer.job.consistency import refuse_consistency
from optimizer.job.judge import refuse_judge
from optimizer.job.load import load_prompt
from optimizer.job.session import open_session
from optimizer.ledger.ledger import Ledger
from optimizer.prompt.saved import SavedPrompt
from optimizer.search.verdict import count_cut
from optimizer.task.load import load_task
from optimizer.task.task import Task


@dataclass(frozen=True)
class Scored:
    """A prompt's score on a split; of the answers that came, `cut` ended at their limit of tokens."""

    mean: float
    ci95: Interval
    answered: int
    failures: int
    cut: int


def evaluate_saved(
    task_path: str,
    prompt_path: str,
    split: str,
    model: str | None,
    api_base: str | None,
    trust: bool = False,
    judge: str | None = None,
) -> Scored:
    """Return a saved prompt's score on a split, run by the task's own program; raises TaskError where it does not fit.

    Without a `model`, the one that the prompt names is asked; see `load_prompt` for `trust`. `judge` names the model of
    a task whose metric is judge.
    """
    prompt = asked_of(load_prompt(prompt_path, trust=trust), model, api_base)
    prompt.check_model()  # what is not the file's to say is refused before anything of the task's runs
    task = load_task(task_path)
    prompt = prompt.run_by(task)
    check_fits(task, prompt, prompt_path)
    results = answers_to(task, prompt, split, named_judge(judge, api_base))
    aggregate, scores = aggregate_of(task.metric), answers(results)
    figures = aggregate.score(scores), aggregate.interval(scores)
    return Scored(*figures, len(scores), len(results) - len(scores), count_cut(results))


def asked_of(prompt: SavedPrompt, model: str | None, api_base: str | None) -> SavedPrompt:
    """Return a prompt for the model that the caller names, if any; raises ConfigError for an address without one."""
    if model is not None:
        return prompt.asked_of(model, api_base)
    if api_base is not None:
        what = f"--api-base {api_base!r:.120} is the endpoint of --model, and no --model is named"
        raise ConfigError(what, f"Name it, as in: --model {prompt.named.model} --api-base …; or leave it out.")
    return prompt


def named_judge(name: str | None, api_base: str | None) -> ModelConfig | None:
    """Return the judge that the caller names, if any, at the endpoint of the caller's model."""
    return None if name is None else ModelConfig(model=name, api_base=api_base)


def answers_to(
    task: Task, prompt: SavedPrompt, split: str, judge: ModelConfig | None = None, folder: Path | None = None
) -> list[Result]:
    """Return a prompt's result on each example of a split, in its order, by its model, started if it is local.

    The calls are kept in the ledger of a `folder`, where one is named: whoever was killed pays for none of them again.
    Raises ConfigError where the task's metric is judge and there is none, or the other way round, TaskError for the
    test of a task with folds.
    """
    config = RunConfig(task=task.name, models=Models(task=prompt.model, judge=judge), privacy=prompt.privacy)
    refuse_judge(config, task, "Name one: --judge NAME.", "Leave --judge out.")
    refuse_consistency(config, task)
    if task.folds and split == "test":
        what = f"{task.name}: with split.folds a run searches on all examples in the end, so no test is left"
        raise TaskError(
            what, "Give new examples: a task without split.folds. How well the search does, its report says."
        )
    examples = {"train": task.train, "validation": task.validation, "test": task.test}[split]
    with ExitStack() as stack:
        folder = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ledger = stack.enter_context(closing(Ledger(folder / "ledger.db")))
        session = stack.enter_context(open_session(task, config, ledger, programs=prompt.programs))
        prompt.check_file(session.models.endpoints["task"].sha256)
        return asyncio.run(session.evaluator.run(prompt.candidate, examples, split, 0, phase_tag("test")))


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
