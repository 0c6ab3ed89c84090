"""Forecasts a run from a handful of real calls; wires the rooms as run.py does, without a search."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

from optimizer.config.schema import BudgetConfig, RunConfig
from optimizer.door.budget import Budget
from optimizer.door.door import Door
from optimizer.door.engine import language_model
from optimizer.errors import BudgetSpent, ConfigError, StoppedByFailures
from optimizer.evaluate.evaluator import Evaluator, phase_tag
from optimizer.forecast.forecast import Forecast, Range, Sample, forecast
from optimizer.forecast.lengths import EXAMPLES, plan_of
from optimizer.job.logs import log_to
from optimizer.ledger.clock import CallStats, call_stats
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import usage_by_role
from optimizer.models.embed import MODEL, Embedder
from optimizer.models.fleet import Fleet, Say, pull
from optimizer.models.prices import prices_of
from optimizer.prompt.program import Programs
from optimizer.report.words import told_failures
from optimizer.search.schedule import make_schedule, refuse_few
from optimizer.task.load import load_task
from optimizer.task.program import calls_each

PROBED = 4


def estimate(config: RunConfig, say: Say = lambda text: None) -> Forecast:
    """Return what a run of `config` will take, from a dozen paid calls.

    The calls go into the ledger of `config.run_dir`, where a run of the same config finds them; without
    one, into a temporary folder. Raises ConfigError, TaskError, ModelError, StoppedByFailures.
    """
    return asyncio.run(_estimate(config, say))


async def _estimate(config: RunConfig, say: Say) -> Forecast:
    task, prices = load_task(config.task), prices_of(config)
    each = calls_each(task)
    refuse_few(config, each)
    schedule = make_schedule(task.validation, config, task.outputs, each)
    with ExitStack() as stack:
        folder = _folder(config, stack)
        stack.enter_context(log_to(folder / "run.log"))
        ledger = stack.enter_context(closing(Ledger(folder / "ledger.db")))
        if ledger.meta("identity") is not None:
            raise ConfigError(f"{folder}: a run has begun there", "Give another --run-dir, or none.")
        fleet = stack.enter_context(Fleet(config.models, folder, say))
        budget = Budget(BudgetConfig(usd=config.budget.usd))
        door = stack.enter_context(closing(Door(ledger, budget, fleet.endpoints, prices, config.failures)))
        endpoint, programs = fleet.endpoints["task"], Programs(task, task.train, Embedder(pull(MODEL, say)))
        plan, candidates, assumed = await plan_of(config, programs, schedule, prices.get("prompt"))
        lm = language_model(door, "task", endpoint, config.models.task.temperature)
        evaluator = Evaluator(programs, lm, task.metric, list(task.outputs), ledger, endpoint.concurrency)
        for place, candidate in enumerate(candidates[:PROBED]):
            tag = phase_tag("search", -1 - place)  # apart from the trials of a run
            try:
                await evaluator.run(candidate, schedule.examples[:EXAMPLES], f"probe {place}", 0, tag)
            except BudgetSpent as spent:
                remedy = "Give more, or leave the limit out to see what the run would cost."
                raise ConfigError(f"budget.{spent.name}: too little even for the probe calls", remedy) from None
        priced = "task" in prices or fleet.endpoints["task"].model == "openai/local"
        samples = _samples(ledger, priced)
        assumed += _notes(config, plan.written, len(samples))
        return forecast(plan, samples, config.budget, endpoint.concurrency, assumed)


def _folder(config: RunConfig, stack: ExitStack) -> Path:
    if config.run_dir is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory()))
    folder = Path(config.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _samples(ledger: Ledger, priced: bool) -> list[Sample]:
    """Return what the probes took, the seed's first."""
    probes = sorted((s for s in call_stats(ledger) if (s.trial or 0) < 0), key=lambda s: -(s.trial or 0))
    if not probes:
        raise StoppedByFailures(
            f"no probe call was answered ({told_failures(ledger)})", "Mend the cause, then try again."
        )
    return [_sample(ledger, probe, priced) for probe in probes]


def _sample(ledger: Ledger, probe: CallStats, priced: bool) -> Sample:
    usage = usage_by_role(ledger, "search", probe.trial)["task"]
    tokens, usd = usage.tokens / probe.calls, usage.usd / probe.calls
    dollars = Range(usd, usd, usd) if priced else None
    return Sample(Range(tokens, tokens, tokens), dollars, probe.seconds)


def _notes(config: RunConfig, written: int, probed: int) -> list[str]:
    notes = [
        f"a call takes what {EXAMPLES} calls of each of {probed} candidates took; the interval is that of their mean"
    ]
    if written:
        notes.append(f"{written} instructions are written by the prompt model, judged by the length of what it is sent")
    if config.budget.usd or config.budget.calls or config.budget.tokens or config.budget.seconds:
        notes.append("the budget's limits hold; where the upper end reaches one, the search ends there")
    return notes
