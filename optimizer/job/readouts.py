"""Which readouts a job can search: what the task, the formats and the model allow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from optimizer.config.presets import PRESETS
from optimizer.door.door import tag_of_call
from optimizer.errors import BudgetSpent, ConfigError
from optimizer.evaluate.evaluator import phase_tag
from optimizer.job.session import Session
from optimizer.prompt.builder import ROOT
from optimizer.prompt.formats import PLAIN
from optimizer.prompt.readout import labels_of
from optimizer.types import Candidate, Example, Readout, Score

# In the ledger: whether the model tells log-probabilities.
LOGPROBS = "logprobs"
ATTEMPTS = 3
WORDS: tuple[Readout, ...] = ("generate",)
NONE_TOLD = "the model tells no log-probabilities, so labels are read from the words of its answers"


async def available_readouts(session: Session, examples: Sequence[Example]) -> tuple[tuple[Readout, ...], str]:
    """Return the readouts that are to be searched, and what a reader must know of them ("": nothing).

    Whether the model tells log-probabilities is asked once, with the seed and the first of the `examples`; the ledger
    keeps it. Raises ConfigError where the config names a readout that cannot be had.
    """
    config = session.config.search
    wanted = config.readouts or ("calibrated",)
    if wanted == WORDS:
        return WORDS, ""
    if (problem := _without_labels(session)) is not None:
        return _refuse(session, problem), ""
    if session.ledger.meta(LOGPROBS) is None:
        session.ledger.put_meta(LOGPROBS, await asyncio.ensure_future(_tells_logprobs(session, examples[:ATTEMPTS])))
    if not session.ledger.meta(LOGPROBS):
        return _refuse(session, NONE_TOLD), NONE_TOLD
    return wanted, ""


def _without_labels(session: Session) -> str | None:
    """Return why no label can be read from log-probabilities, whatever the model tells; None where one can."""
    config, predictors = session.config.search, session.programs.predictors
    if config.strategy not in PRESETS:
        return f"the strategy {config.strategy} reads the words of answers"
    if not PLAIN & set(config.formats):
        return f"none of the formats is one of {', '.join(sorted(PLAIN))}, whose answers begin with the label"
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


async def _tells_logprobs(session: Session, examples: Sequence[Example]) -> bool:
    """Ask until there is an answer; False where none comes, or the budget does not pay for one.

    A request that the provider refuses may be so for its text.
    """
    tag_of_call.set(phase_tag("search"))  # in this task only
    format_name = next(name for name in session.config.search.formats if name in PLAIN)
    seed = session.programs.seed(format_name)
    asked = Candidate({name: replace(prompt, readout="choose") for name, prompt in seed.prompts.items()})
    for example in examples:
        try:
            result, _ = await session.evaluator.traced(session.programs.build(asked), example)
        except BudgetSpent:
            return False
        if isinstance(result, Score) and not result.failed:
            return result.logprobs is not None
    return False
