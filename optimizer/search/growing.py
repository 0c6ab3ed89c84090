"""Wires a run's proposals: the configured proposers, what they may see, and the training examples they may try."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, get_args

from optimizer.config.schema import ProposerName, SearchConfig
from optimizer.evaluate.evaluator import Evaluator, phase_tag
from optimizer.ledger.trials import put_proposers
from optimizer.propose.base import Attempt
from optimizer.propose.registry import WRITING, build_proposers
from optimizer.search.pools import predictor_subject, task_screen
from optimizer.search.proposals import Answers, Proposals, Terms
from optimizer.types import Candidate, Example, Score, digest

if TYPE_CHECKING:
    import dspy

    from optimizer.prompt.builder import ProgramBuilder

# Formats and demos move a score more than an edit does: until so many answers are in they have the calls.
LATE = 200


def make_proposals(
    programs: ProgramBuilder,
    config: SearchConfig,
    seed: int,
    writer: dspy.LM | None,
    evaluator: Evaluator,
    round_size: int,
) -> Proposals:
    """Return the policy that widens the pools of a run.

    Half of a round of `round_size` candidates are to be proposals. Their records are kept in the ledger. Whoever is
    named in the configuration is asked from the start.
    """
    names = get_args(ProposerName) if config.proposers is None else config.proposers
    screen = task_screen(programs)
    answers = training_answers(evaluator, screen.guard.harmless(programs.task.train), seed, Terms.window)
    late = 0 if config.proposers else LATE
    return Proposals(
        build_proposers(names, writer, programs.embed),
        {name: predictor_subject(programs, name, screen) for name in programs.predictors},
        screen,
        seed,
        Terms(config.proposing, max(1, round_size // 2), late, writing=frozenset(WRITING), answers=answers),
        partial(put_proposers, evaluator.ledger),
    )


def training_answers(evaluator: Evaluator, examples: Sequence[Example], seed: int, window: int) -> Answers:
    """Return what a candidate makes of `window` training examples, the next ones in turn for each serial number."""
    order = sorted(examples, key=lambda example: digest([seed, "attempts", example.id]))

    async def answers(candidate: Candidate, serial: int) -> list[Attempt]:
        start = serial * window % max(1, len(order))
        shown = [*order[start:], *order[:start]][:window]
        results = await evaluator.run(candidate, shown, "train", start, phase_tag("search"))
        return [
            Attempt(example, result.answer, result.value, result.feedback)
            for example, result in zip(shown, results, strict=True)
            if isinstance(result, Score)
        ]

    return answers
