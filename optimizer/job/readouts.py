"""Which readouts a job can search: what the task, the formats and the model allow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from optimizer.config.presets import BASELINES, LIBRARIES
from optimizer.door.door import tag_of_call
from optimizer.errors import BudgetSpent, ConfigError
from optimizer.evaluate.evaluator import phase_tag
from optimizer.job.session import Session
from optimizer.models.capabilities import provider_of
from optimizer.prompt.builder import ROOT
from optimizer.prompt.formats import PLAIN
from optimizer.prompt.readout import labels_of
from optimizer.task.metrics.consistency import times_of
from optimizer.types import Candidate, Example, Prompt, Readout, Score, task_key

# In the ledger: whether the model tells log-probabilities.
LOGPROBS = "logprobs"
ATTEMPTS = 3
WORDS: tuple[Readout, ...] = ("generate",)
SOME_TOLD = "labels are read from the words of answers where a model tells no log-probabilities"
NONE_TOLD = "the model tells no log-probabilities, so labels are read from the words of its answers"


class Readouts(NamedTuple):
    """The readouts that are to be searched, the task models that are `unread`, and what a reader must know of it.

    Of those models the words are read whatever the readout, as they tell no log-probabilities.
    """

    searched: tuple[Readout, ...]
    unread: frozenset[str] = frozenset()
    note: str = ""


async def available_readouts(session: Session, examples: Sequence[Example]) -> Readouts:
    """Return the readouts that are to be searched.

    Whether each model tells log-probabilities is asked once, with the seed and the first of the `examples`; the ledger
    keeps it. Raises ConfigError where the config names a readout that cannot be had.
    """
    config = session.config.search
    wanted = config.readouts or (WORDS if config.strategy in BASELINES else ("calibrated",))
    if wanted == WORDS:
        return Readouts(WORDS)
    if (problem := _without_labels(session)) is not None:
        return Readouts(_refuse(session, problem))
    models = session.config.models.task_models
    for model in models:
        if session.ledger.meta(_kept(model)) is None:
            told = await asyncio.ensure_future(_tells_logprobs(session, examples[:ATTEMPTS], model))
            session.ledger.put_meta(_kept(model), told)
    unread = frozenset(model for model in models if not session.ledger.meta(_kept(model)))
    if len(unread) == len(models):
        return Readouts(_refuse(session, NONE_TOLD), note=NONE_TOLD)
    names = ", ".join(model or session.config.models.task.model for model in models if model in unread)
    return Readouts(wanted, unread, f"{SOME_TOLD}: {names}" if unread else "")


def _kept(model: str) -> str:
    """Return the name under which the ledger keeps whether a task model tells log-probabilities."""
    return f"{LOGPROBS} {model}".strip()


def readable(session: Session, candidate: Candidate) -> Candidate:
    """Return a candidate whose readouts the model allows: without log-probabilities the words of answers are read.

    What a readout was fitted to is left out: it is another model's. Ask for `available_readouts` before.
    """
    told = bool(session.ledger.meta(LOGPROBS))

    def read(prompt: Prompt) -> Prompt:
        others = tuple(map(read, prompt.ensemble))
        readout = prompt.readout if told else "generate"
        return replace(prompt.uncalibrated, readout=readout, ensemble=others, model="")

    return replace(candidate, prompts={name: read(prompt) for name, prompt in candidate.prompts.items()})


def _without_labels(session: Session) -> str | None:
    """Return why no label can be read from log-probabilities, whatever the model tells; None where one can."""
    config, predictors = session.config.search, session.programs.predictors
    if config.strategy in LIBRARIES:
        return f"the strategy {config.strategy} reads the words of answers"
    if not PLAIN & set(config.formats):
        return f"none of the formats is one of {', '.join(sorted(PLAIN))}, whose answers begin with the label"
    if times_of(session.task.metric) > 1:
        return "each example is asked several times, and a calibration is fitted to one answer of each"
    # What a program of somebody's makes of its predictors' answers is not known.
    if not session.programs.made_from_fields or labels_of(predictors[ROOT].signature) is None:
        return "the task's answer is not one label, yes or no, of a single call"
    return None


def _refuse(session: Session, problem: str) -> tuple[Readout, ...]:
    """Return the readout that is always there; raises ConfigError where the config wants others."""
    named = [one for one in session.config.search.readouts or () if one != "generate"]
    if named:
        raise ConfigError(f"search.readouts: {', '.join(named)} cannot be had: {problem}", "Leave search.readouts out.")
    return WORDS


async def _tells_logprobs(session: Session, examples: Sequence[Example], model: str) -> bool:
    """Ask a task model until there is an answer; False where none comes, or the budget does not pay for one.

    A request that the provider refuses may be so for its text. Nothing is asked where the provider's documentation says
    that it tells none.
    """
    named = session.config.models.by_key[task_key(model)]
    if provider_of(named.model, named.api_base).of("logprobs").can == "no":
        return False
    tag_of_call.set(phase_tag("search"))  # in this task only
    format_name = next(name for name in session.config.search.formats if name in PLAIN)
    seed = session.programs.seed(format_name)
    prompts = {name: replace(prompt, readout="choose", model=model) for name, prompt in seed.prompts.items()}
    asked = Candidate(prompts)
    for example in examples:
        try:
            result, _ = await session.evaluator.traced(session.programs.build(asked), example, model)
        except BudgetSpent:
            return False
        if isinstance(result, Score) and not result.failed:
            return result.logprobs is not None
    return False
