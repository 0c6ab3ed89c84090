"""Fills the space before the search: instructions from the proposers, demo sets from training examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optimizer.config.schema import SearchConfig
from optimizer.errors import BudgetSpent
from optimizer.propose.base import Proposal, Proposer, Subject, distinct
from optimizer.propose.demosets import balanced_sets
from optimizer.propose.registry import FIRST, build_proposers
from optimizer.propose.screen import Screen
from optimizer.propose.subjects import screen_of, subject_of
from optimizer.search.space import Pool, Space
from optimizer.types import Candidate, Example, Readout

if TYPE_CHECKING:
    import dspy

    from optimizer.prompt.builder import ProgramBuilder

AMONG_OTHERS, ALONE = 8, 16  # instructions in the pool at first, the seed's included


async def make_space(
    programs: ProgramBuilder,
    config: SearchConfig,
    seed: int,
    writer: dspy.LM | None,
    readouts: Sequence[Readout] = ("generate",),
    first: Candidate | None = None,
) -> Space:
    """Return the space of a run; `writer` is the prompt model's LM, None where there is none.

    `readouts` are those that the model and the program allow. The instructions and the fixed demos of a `first`
    candidate come before all others, and its instruction is what the proposers begin with.
    """
    named = FIRST if config.proposers is None else [name for name in FIRST if name in config.proposers]
    proposers = build_proposers(named, writer, programs.embed).values()
    pools, screen = {}, task_screen(programs)
    for name in programs.predictors:
        examples = programs.pool_of(name)
        subject, leading = predictor_subject(programs, name, screen), () if first is None else first.prompts[name].asked
        own = [Proposal(subject.instruction, "seed")]
        if leading:
            own = [*(Proposal(prompt.instruction, "seed") for prompt in leading), Proposal(own[0].text, "task")]
            subject = replace(subject, instruction=leading[0].instruction)
        instructions = await _instructions(subject, proposers, config.instructions or _most(config), screen, own)
        sets = balanced_sets(examples, config.demos.sets, config.demos.counts, seed) if examples else ((),)
        led = [_filled(prompt.demos, sets[0], max(config.demos.counts)) for prompt in leading if prompt.demos]
        pools[name] = Pool(instructions, (*led, *sets), len(examples), readouts=tuple(readouts))
    return Space(pools, config.formats, config.demos, config.prior)


def _filled(demos: Sequence[Example], others: Sequence[Example], most: int) -> tuple[Example, ...]:
    """Return a demo set that begins with these demos, and goes on with others if it is to be longer."""
    known = {demo.id for demo in demos}
    return (*demos, *[other for other in others if other.id not in known][: max(0, most - len(demos))])


def _most(config: SearchConfig) -> int:
    """Return how many instructions to begin with: more where nothing else is searched."""
    alone = len(config.formats) == 1 and max(config.demos.counts) == 0
    return ALONE if alone else AMONG_OTHERS


def task_screen(programs: ProgramBuilder) -> Screen:
    """Return what every proposal for a program must pass."""
    return screen_of(programs.task, {name: p.signature.instructions for name, p in programs.predictors.items()})


def predictor_subject(programs: ProgramBuilder, name: str, screen: Screen) -> Subject:
    """Return what a proposer may see of one predictor of a program."""
    signature = programs.predictors[name].signature
    outputs, examples = list(signature.output_fields), programs.pool_of(name)
    return subject_of(programs.task, name, signature.instructions, outputs, examples, screen)


async def _instructions(
    subject: Subject, proposers: Iterable[Proposer], limit: int, screen: Screen, own: Sequence[Proposal]
) -> tuple[Proposal, ...]:
    """Return the user's own first, then what each proposer wrote and may be used, in equal shares of what is left."""
    pool, asked = list(own), list(proposers)
    for index, proposer in enumerate(asked):
        share = -(-(limit - len(pool)) // (len(asked) - index))
        if share <= 0:
            break
        try:
            written = await proposer.propose(subject, share)
        except BudgetSpent:
            break
        taken = [(screen.take(proposal.text)[0], proposal) for proposal in written]
        pool += [Proposal(text, proposal.origin) for text, proposal in taken if text]
    return distinct(pool, limit)
