"""Parts of a run's wiring: the models' LMs behind the door, the evaluator, demos that the data do not show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from optimizer.config.presets import DSPY, PRESETS
from optimizer.config.schema import BudgetConfig, RunConfig
from optimizer.errors import ConfigError
from optimizer.ledger.reader import Reader
from optimizer.ledger.records import ScoreKey
from optimizer.models.fleet import pull
from optimizer.types import Candidate, Example, Failure, Role, digest

if TYPE_CHECKING:
    import dspy

    from optimizer.door.budget import Budget
    from optimizer.door.door import Door
    from optimizer.evaluate.evaluator import Evaluator
    from optimizer.models.providers import Endpoint
    from optimizer.prompt.program import Programs
    from optimizer.prompt.student import Students
    from optimizer.search.loop import Search
    from optimizer.search.schedule import Schedule
    from optimizer.search.trials import Event
    from optimizer.search.verdict import Outcome
    from optimizer.task.task import Task
    from optimizer.teleprompt.strategy import DspySearch

# The least temperature of the model that writes instructions: at 0 it would write the same one again.
LIVELY = 0.7
SHOWN = "shown"
# Of a candidate's cost against its score, where money or time are counted.
COST_WEIGHT = 0.5
T = TypeVar("T")


def with_writer(by_role: Mapping[Role, T]) -> dict[Role, T]:
    """Return endpoints or prices with the task model in the role of the prompt model, where there is none.

    DSPy's optimizers must have somebody to write instructions.
    """
    return {"prompt": by_role["task"], **by_role} if "task" in by_role else dict(by_role)


def language_models(
    config: RunConfig, door: Door, endpoints: Mapping[Role, Endpoint]
) -> tuple[dspy.LM, dspy.LM | None]:
    """Return the task model's LM and the prompt model's, None where nobody is to write, both behind the door."""
    from optimizer.door.engine import language_model

    task, prompt = config.models.task, config.models.prompt
    lm = language_model(door, "task", endpoints["task"], task.temperature)
    if prompt is None and not config.search.strategy.startswith(DSPY):
        return lm, None
    warm = max(LIVELY, LIVELY if prompt is None else prompt.temperature)
    return lm, language_model(door, "prompt", with_writer(endpoints)["prompt"], warm)


def dspy_search(
    config: RunConfig,
    evaluator: Evaluator,
    door: Door,
    writer: dspy.LM | None,
    schedule: Schedule,
    watch: Callable[[Event], None],
) -> DspySearch:
    """Return one of DSPy's optimizers as a search; raises ConfigError for an option that it does not have."""
    from optimizer.teleprompt.strategy import DspyOptimizer, DspySearch

    search = config.search
    foreign = DspyOptimizer(search.strategy.removeprefix(DSPY), search.options, search.formats[0], config.seed)
    return DspySearch(foreign, evaluator, door, writer, evaluator.programs.task, schedule, watch)  # type: ignore[attr-defined]


async def own_search(
    config: RunConfig,
    shape: RunConfig,
    evaluator: Evaluator,
    door: Door,
    writer: dspy.LM | None,
    schedule: Schedule,
    watch: Callable[[Event], None],
) -> Search:
    """Return the search that a preset names, its pools filled; `shape` is the config with its first limits."""
    from optimizer.search.growing import make_proposals
    from optimizer.search.loop import Search
    from optimizer.search.pools import make_space
    from optimizer.search.presets import preset_config, raced
    from optimizer.search.sampler import Sampler
    from optimizer.search.trials import TrialLog

    preset = PRESETS[config.search.strategy]
    search, schedule, programs = preset_config(config.search, preset), raced(schedule, preset), evaluator.programs
    task: Task = programs.task  # type: ignore[attr-defined]
    programs = await complete_demos(evaluator, programs, task, shape, programs.seed(search.formats[0]))  # type: ignore[attr-defined]
    space = await make_space(task, programs, search, config.seed, writer)
    weight = cost_weight(shape.budget)
    sampler = Sampler(space, preset.sampler, config.seed, schedule.first - 1, programs.embed, weight, search.objective)
    proposals = make_proposals(programs, search, config.seed, writer, evaluator, schedule.later)
    return Search(
        sampler, evaluator, TrialLog(door.ledger, len(schedule.examples), watch), schedule, proposals=proposals
    )


def make_evaluator(
    task: Task,
    programs: Programs | Students,
    lm: dspy.LM,
    door: Door,
    concurrency: int,
    lost: Mapping[ScoreKey, Failure] = MappingProxyType({}),
) -> Evaluator:
    """Return what scores candidates; a module's whole answer is shown to its metric. `lost`: see Evaluator."""
    from optimizer.evaluate.evaluator import Evaluator

    names = None if task.module is not None else list(task.outputs)
    left = door.budget.calls_left
    return Evaluator(programs, lm, task.metric, names, door.ledger, concurrency, left, lost)


async def complete_demos(evaluator: Evaluator, programs: Any, task: Task, config: RunConfig, seed: Candidate) -> Any:
    """Return the programs with demos for predictors whose fields are not all in the data, and the evaluator on them.

    The seed answers a few training examples for that; what it said is kept in the ledger, where a resumed
    run finds it.
    """
    lacking = [name for name, p in programs.predictors.items() if not _all_in_data(p, task)]
    limit = config.search.demos.bootstrapped
    if config.budget.calls is not None:
        limit = min(limit, config.budget.calls // (10 * len(programs.predictors)))
    if not lacking or max(config.search.demos.counts) == 0 or limit == 0:
        return programs
    ledger = evaluator.ledger
    found = ledger.meta(SHOWN)
    if found is None:
        from optimizer.evaluate.bootstrap import bootstrap
        from optimizer.prompt.student import jsonable

        order = sorted(task.train, key=lambda example: digest([config.seed, example.id]))[:limit]
        # In a task of its own, whose context is its own: later calls are not tagged by it.
        made = await asyncio.ensure_future(bootstrap(evaluator, seed, list(programs.predictors), order))
        found = {name: [jsonable([e.inputs, e.outputs]) for e in made[name]] for name in lacking}
        ledger.put_meta(SHOWN, found)
        found = ledger.meta(SHOWN)
    evaluator.programs = programs.showing(_read(found))
    return evaluator.programs


def students_of(task: Task, run_dir: Path) -> Students:
    """Return what builds the candidates of a run whose program is a module, with the demos that the run had."""
    from optimizer.models.embed import MODEL, Embedder
    from optimizer.prompt.student import Students

    programs = Students(task, task.train, Embedder(pull(MODEL, lambda text: None)))
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        return programs.showing(_read(ledger.meta(SHOWN) or {}))


def _read(shown: Mapping[str, Sequence[Any]]) -> dict[str, list[Example]]:
    return {name: [Example(inputs, outputs) for inputs, outputs in rows] for name, rows in shown.items()}


def _all_in_data(predictor: dspy.Predict, task: Task) -> bool:
    """Tell if the training examples hold all that a predictor is given and says."""
    asked, said = set(predictor.signature.input_fields), set(predictor.signature.output_fields)
    return any(asked <= set(example.inputs) and said <= set(example.outputs) for example in task.train)


def refuse_small(budget: Budget) -> None:
    """Raise ConfigError if nothing could be ranked because the budget ended before the first block did."""
    if budget.refused is not None:
        key = "seconds or budget.until" if budget.refused == "time" else budget.refused
        what = f"budget.{key}: too little to score one prompt on one block of examples and to test it"
        raise ConfigError(what, "Give more, or fewer test examples; what was paid is kept in the run's folder.")


def cut_short(budget: Budget, outcome: Outcome, planned: int) -> str:
    """Return what a reader must know of a test that the budget cut short."""
    return (
        f"the budget's {budget.refused or 'time'} ended during the test: "
        f"the verdict rests on {outcome.examples} of {planned} test examples"
    )


def left_unanswered(outcome: Outcome) -> str:
    """Return what a reader must know of test examples that the winner alone left unanswered; "" without any."""
    if not outcome.unanswered:
        return ""
    of = f"{outcome.unanswered} of the {len(outcome.seed.scores)} test examples that the seed answered"
    return f"the winner gave no answer to {of}: they count for neither"


def cost_weight(budget: BudgetConfig) -> float:
    """Return how much a candidate's cost matters to the sampler: not at all where only calls are counted."""
    return COST_WEIGHT if budget.uncounted else 0.0
