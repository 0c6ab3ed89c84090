"""Demos that the data do not hold: what the seed answered between the steps of a program, kept in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.config.schema import RunConfig
from optimizer.evaluate.bootstrap import bootstrap
from optimizer.evaluate.evaluator import Evaluator
from optimizer.job.session import task_programs
from optimizer.ledger.reader import Reader
from optimizer.prompt.builder import ProgramBuilder
from optimizer.prompt.student import jsonable
from optimizer.task.task import Task
from optimizer.types import Candidate, Example, digest

if TYPE_CHECKING:
    import dspy

SHOWN = "shown"


async def with_missing_demos(
    evaluator: Evaluator, programs: ProgramBuilder, config: RunConfig, seed: Candidate
) -> ProgramBuilder:
    """Return the programs with demos for those predictors whose fields are not all in the data.

    The seed answers a few training examples for that, at most a tenth of the calls. The ledger keeps the answers for
    a resumed run.
    """
    lacking = [name for name, predictor in programs.predictors.items() if not _all_in_data(predictor, programs.task)]
    limit = config.search.demos.bootstrapped
    if config.budget.calls is not None:
        limit = min(limit, config.budget.calls // (10 * len(programs.predictors)))
    if not lacking or max(config.search.demos.counts) == 0 or limit == 0:
        return programs
    ledger = evaluator.ledger
    if ledger.meta(SHOWN) is None:
        order = sorted(programs.task.train, key=lambda example: digest([config.seed, example.id]))[:limit]
        # In a task of its own, whose context is its own: later calls are not tagged by it.
        made = await asyncio.ensure_future(bootstrap(evaluator, seed, list(programs.predictors), order))
        ledger.put_meta(SHOWN, {name: [jsonable([e.inputs, e.outputs]) for e in made[name]] for name in lacking})
    return programs.showing(_read(ledger.meta(SHOWN)))


def programs_of_run(task: Task, run_dir: Path) -> ProgramBuilder:
    """Return what builds the candidates of a run, with the demos that the run had."""
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        return task_programs(task).showing(_read(ledger.meta(SHOWN) or {}))


def _read(shown: Mapping[str, Sequence[tuple[dict[str, object], dict[str, object]]]]) -> dict[str, list[Example]]:
    return {name: [Example(inputs, outputs) for inputs, outputs in rows] for name, rows in shown.items()}


def _all_in_data(predictor: dspy.Predict, task: Task) -> bool:
    """Tell if the training examples hold all inputs and outputs of a predictor."""
    inputs, outputs = set(predictor.signature.input_fields), set(predictor.signature.output_fields)
    return any(inputs <= set(example.inputs) and outputs <= set(example.outputs) for example in task.train)
