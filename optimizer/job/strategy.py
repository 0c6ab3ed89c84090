"""From a config to the strategy that searches: a preset of ours, another library's optimizer, or a baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from optimizer.config.presets import BASELINES, INSTRUCTIONS, PRESETS
from optimizer.config.schema import BudgetConfig, RunConfig
from optimizer.evaluate.evaluator import Evaluator
from optimizer.job.demos import with_missing_demos
from optimizer.job.readouts import Readouts
from optimizer.job.session import Session
from optimizer.prompt.builder import ROOT, ProgramBuilder
from optimizer.prompt.readout import labels_of
from optimizer.search.board import Board
from optimizer.search.ensembles import Ensembles, Sums, Together, Votes, first_ensemble, head_starts
from optimizer.search.fixed import FixedSearch, fixed_candidate, whole_validation
from optimizer.search.growing import make_proposals
from optimizer.search.loop import Search
from optimizer.search.pools import make_space
from optimizer.search.presets import preset_config, raced
from optimizer.search.proposals import Grows
from optimizer.search.sampler import Sampler
from optimizer.search.schedule import Schedule
from optimizer.search.trials import Event, TrialLog
from optimizer.search.written import WrittenSearch, refuse_changed, written_candidates
from optimizer.task.metrics.agreement import agreement
from optimizer.task.metrics.worst import of_each
from optimizer.task.task import Task
from optimizer.teleprompt.library import LibraryOptimizer
from optimizer.teleprompt.packages import library_search
from optimizer.types import Candidate, Example, Readout

# Of a candidate's cost against its score, where money or time are counted.
COST_WEIGHT = 0.5


class Strategy(Protocol):
    """What finds a winner: it evaluates candidates, collects their results on its board, and proposes new ones."""

    evaluator: Evaluator
    board: Board
    schedule: Schedule
    proposals: Grows

    async def run(self, seed: Candidate, trials: int) -> str | None:
        """Return the winner's id, None where no candidate could be ranked."""


async def make_strategy(
    session: Session,
    first_config: RunConfig,
    schedule: Schedule,
    watch: Callable[[Event], None],
    readouts: Readouts,
    seed: Candidate | None = None,
) -> Strategy:
    """Return the strategy that the session's config names; `first_config` has the limits that the run was begun with.

    A search of ours varies the `readouts`; other libraries' optimizers read the words of answers. `seed` is a prompt
    whose instructions and demos are tried among the first; None: the task's own.
    Raises ConfigError for a package that is not installed, and an option that an optimizer does not have.
    """
    config = session.config.search
    if config.strategy in BASELINES:
        schedule = whole_validation(schedule, session.task.validation)
        log = TrialLog(session.ledger, len(schedule.examples), watch)
        board = Board(aggregate=session.evaluator.aggregate, cost=config.cost)
        programs, readout = session.programs, readouts.searched[0]
        if config.strategy == INSTRUCTIONS:
            written = written_candidates(programs, session.config, readout)
            refuse_changed(session.ledger, written)
            return WrittenSearch(written, session.evaluator, log, schedule, board)
        return FixedSearch(fixed_candidate(programs, session.config, readout), session.evaluator, log, schedule, board)
    if config.strategy not in PRESETS:
        optimizer = LibraryOptimizer(config.strategy, config.options, config.formats[0], session.config.seed)
        parts = (session.evaluator, session.programs, session.door, session.writer)
        return library_search(config.strategy)(optimizer, *parts, schedule, watch)
    preset, number = PRESETS[config.strategy], session.config.seed
    config, schedule = preset_config(config, preset), raced(schedule, preset)
    first = session.programs.seed(config.formats[0])
    programs = await with_missing_demos(session.evaluator, session.programs, first_config, first)
    evaluator = session.evaluator.with_programs(programs)
    space = await make_space(programs, config, number, session.writer, readouts.searched, seed)
    models = session.config.models
    space = replace(space, models=models.task_models, unread=readouts.unread, families=models.families)
    weight = cost_weight(first_config.budget)
    believed = first_ensemble(space, schedule.together)
    sampler = Sampler(
        space,
        preset.sampler,
        number,
        schedule.first - 1,
        programs.embed,
        weight,
        config.objective,
        believed,
    )
    proposals = make_proposals(programs, config, number, session.writer, evaluator, schedule.later)
    log = TrialLog(session.ledger, len(schedule.examples), watch)
    together = _together(session.task, programs, schedule.examples, readouts.searched)
    board = Board(head_starts(believed, config.prior), evaluator.aggregate, config.cost, config.objective)
    return Search(sampler, evaluator, log, schedule, board, Ensembles(proposals, together, schedule.together))


def _together(
    task: Task, programs: ProgramBuilder, examples: Sequence[Example], readouts: Sequence[Readout]
) -> Together:
    """Return how several prompts answer as one."""
    labels = labels_of(programs.predictors[ROOT].signature) if set(readouts) - {"generate"} else None
    return Votes(agreement(of_each(task.metric), task.outputs)) if labels is None else Sums(labels, examples)


def cost_weight(budget: BudgetConfig) -> float:
    """Return how much a candidate's cost matters to the sampler: not at all where only calls are counted."""
    return COST_WEIGHT if budget.uncounted else 0.0
