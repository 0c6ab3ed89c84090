"""`search.strategy: baseline.NAME`: one prompt that needs no search, tested like the winner of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from optimizer.config.presets import DEMOS
from optimizer.config.schema import RunConfig
from optimizer.errors import BudgetSpent
from optimizer.evaluate.evaluator import Evaluator, phase_tag
from optimizer.prompt.builder import ProgramBuilder
from optimizer.search.baselines import MOST, WORDS, with_demos
from optimizer.search.blocks import score_up_to
from optimizer.search.board import Board
from optimizer.search.proposals import Grows, NoProposals
from optimizer.search.sampler import Asked
from optimizer.search.schedule import Schedule
from optimizer.search.trials import TrialLog
from optimizer.types import Candidate, Example, Readout


def fixed_candidate(programs: ProgramBuilder, config: RunConfig, readout: Readout) -> Candidate:
    """Return the prompt that the strategy names: the seed with random demos, or with those nearest to each input.

    `search.options.count` says how many, at most all training examples; 16 random or 8 nearest ones by default.
    """
    policy = DEMOS[config.search.strategy]
    most = int(config.search.options.get("count", MOST[policy]))
    prompts = {}
    for name, prompt in programs.seed(config.search.formats[0]).prompts.items():
        pool = programs.pool_of(name)
        shown = with_demos(prompt, policy, most, [min(most, len(pool))], pool, config.seed)
        prompts[name] = replace(shown, readout=readout)
    return Candidate(prompts, f"{max(prompt.count for prompt in prompts.values())} {WORDS[policy]} demos")


def whole_validation(schedule: Schedule, validation: Sequence[Example]) -> Schedule:
    """Return a schedule whose examples are all of the validation, first those that a race would use."""
    first = {example.id for example in schedule.examples}
    return replace(schedule, examples=[*schedule.examples, *(one for one in validation if one.id not in first)])


@dataclass
class FixedSearch:
    """Has the methods of `search.loop.Search` that a run needs; its winner is settled before.

    The seed sees its first block alone. The candidate sees all validation examples that the budget pays for: they
    choose nothing, but a calibrated readout is fitted to them, and the report has a validation score.
    """

    candidate: Candidate
    evaluator: Evaluator
    log: TrialLog
    schedule: Schedule
    board: Board = field(default_factory=Board)
    proposals: Grows = field(default_factory=NoProposals)

    async def run(self, seed: Candidate, trials: int) -> str | None:
        """Score the seed's first block, then the candidate; return the candidate's id, None if it has no answer."""
        await self._score(0, seed, self.schedule.examples[: self.schedule.block])
        if self.candidate.id != seed.id:
            await self._score(1, self.candidate, self.schedule.examples)
        return self.candidate.id if self.candidate.id in self.board.ranked() else None

    async def _score(self, number: int, candidate: Candidate, examples: Sequence[Example]) -> None:
        asked = Asked(candidate)
        self.board.enter(candidate)
        self.log.begin(number, asked)
        try:
            await score_up_to(self.evaluator, self.board, candidate, examples, phase_tag("search", number))
        except BudgetSpent:
            self.log.unfinished({number: asked}, self.board)
        if len(self.board.results(candidate.id)) < self.log.length:
            self.log.reasons.setdefault(number, ("raced_out", "the seed sees its first block only"))
        self.log.finish(number, asked, self.board, None)
