"""Fills the space before the search: instructions from the proposers, demo sets from training examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.config.schema import Search
from optimizer.errors import BudgetSpent
from optimizer.propose.base import Proposal, Proposer, Subject, distinct
from optimizer.propose.demosets import balanced_sets
from optimizer.propose.grounded import Grounded
from optimizer.propose.templates import Templates
from optimizer.search.space import Pool, Space
from optimizer.task.task import Task

if TYPE_CHECKING:
    import dspy

    from optimizer.prompt.program import Programs


async def make_space(task: Task, programs: Programs, config: Search, seed: int, writer: dspy.LM | None) -> Space:
    """Return the space of a run; `writer` is the prompt model's LM, None where there is none."""
    proposers: list[Proposer] = [Templates()] if writer is None else [Grounded(writer), Templates()]
    largest = max(config.demos.counts)
    pools = {}
    for name in programs.predictors:
        examples = programs.pool_of(name)
        instructions = await _instructions(_subject(task, programs, name), proposers, config.instructions)
        sets = balanced_sets(examples, config.demos.sets, largest, seed) if examples else ((),)
        pools[name] = Pool(instructions, sets, len(examples))
    return Space(pools, config.formats, config.demos, config.prior)


def _subject(task: Task, programs: Programs, name: str) -> Subject:
    signature = programs.predictors[name].signature
    outputs = {field: spec for field, spec in task.outputs.items() if field in signature.output_fields}
    return Subject(task, name, signature.instructions, outputs, programs.pool_of(name))


async def _instructions(subject: Subject, proposers: list[Proposer], limit: int) -> tuple[Proposal, ...]:
    """Return the seed first, then what each proposer wrote, in equal shares."""
    found = [Proposal(subject.instruction, "seed")]
    share = -(-(limit - 1) // len(proposers))
    for proposer in proposers:
        try:
            found += await proposer.propose(subject, share)
        except BudgetSpent:
            break
    return distinct(found, limit)
