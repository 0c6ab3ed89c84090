"""`metier estimate`: forecasts a run from a handful of real calls."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from optimizer.config.schema import BudgetConfig, Cache, RunConfig
from optimizer.errors import BudgetSpent, ConfigError, StoppedByFailures
from optimizer.evaluate.evaluator import phase_tag
from optimizer.forecast.forecast import Forecast, Range, Sample
from optimizer.forecast.judged import with_judge
from optimizer.forecast.lengths import EXAMPLES, plan_of, price_in_role, task_price
from optimizer.forecast.ways import both_ways
from optimizer.job.folder import make_run_dir
from optimizer.job.folds import share_of_budget
from optimizer.job.refusals import refuse_unfit
from optimizer.job.session import Session, open_session
from optimizer.job.window import load_task_of
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.spend import CallStats, call_stats, usage_by_role
from optimizer.models.fleet import Say
from optimizer.report.words import failures_text
from optimizer.search.ensembles import ensemble_size
from optimizer.search.schedule import make_schedule, refuse_few
from optimizer.task.program import calls_each
from optimizer.task.task import Task
from optimizer.types import Candidate, Example

PROBED = 4


def estimate(config: RunConfig, say: Say = lambda text: None) -> Forecast:
    """Return what a run of `config` will take, from a dozen paid calls.

    The calls go into the ledger of `config.run_dir`, where a run of the same config finds those that it asks with the
    same limit on answers; without one, into a temporary folder.
    Raises ConfigError, TaskError, ModelError, StoppedByFailures.
    """
    return asyncio.run(_estimate(config, say))


async def _estimate(config: RunConfig, say: Say) -> Forecast:
    task = load_task_of(config)
    refuse_unfit(config, task)
    runs = len(task.folds) + 1
    if task.folds:
        config, task = share_of_budget(config, runs), task.folds[0]
    each = calls_each(task)
    refuse_few(config, each)
    schedule = make_schedule(task.validation, config, task.outputs, each, ensemble_size(config, task))
    with ExitStack() as stack:
        ledger = stack.enter_context(closing(Ledger(_folder(config, task, stack) / "ledger.db")))
        if ledger.meta("identity") is not None:
            raise ConfigError(f"{ledger.path.parent}: a run has begun there", "Give another --run-dir, or none.")
        session = stack.enter_context(open_session(task, _probing(config), ledger, say=say))
        plan, candidates, assumed = await plan_of(config, session.programs, schedule, session.prices.get("prompt"))
        await _probe(session, candidates[:PROBED], schedule.examples[:EXAMPLES])
        endpoint = session.models.endpoints["task"]
        judge = _judge(session)
        samples = _samples(ledger, priced="task" in session.prices or endpoint.model == "openai/local")
        samples = [with_judge(sample, judge, plan.judging) for sample in samples]
        assumed += _notes(config, plan.written, len(samples))
        if runs > 1:
            assumed.append(f"split.folds: this is one of {runs} such runs, with its share of the budget")
        price = task_price(config, session.prices)
        return both_ways(config, schedule, plan, samples, price, endpoint.concurrency, assumed)


def _probing(config: RunConfig) -> RunConfig:
    """Return the config of the probes: only dollars are limited, and each answer is paid for, so that it is timed.

    None is asked in a batch, for the same reason.
    """
    models = config.models.model_copy(update={"batch": False})
    limits = BudgetConfig(usd=config.budget.usd)
    return config.model_copy(update={"budget": limits, "cache": Cache(), "models": models})


async def _probe(session: Session, candidates: Sequence[Candidate], examples: Sequence[Example]) -> None:
    for number, candidate in enumerate(candidates):
        tag = phase_tag("search", -1 - number)  # the trials of a run have other numbers
        try:
            await session.evaluator.run(candidate, examples, f"probe {number}", 0, tag)
        except BudgetSpent as spent:
            remedy = "Give more, or leave the limit out to see what the run would cost."
            raise ConfigError(f"budget.{spent.name}: too little even for the probe calls", remedy) from None


def _folder(config: RunConfig, task: Task, stack: ExitStack) -> Path:
    if config.run_dir is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory()))
    return make_run_dir(config, task)


def _samples(ledger: Ledger, priced: bool) -> list[Sample]:
    """Return what the probes took, the seed's first."""
    asked = [stats for stats in call_stats(ledger) if stats.role == "task"]
    probes = sorted((s for s in asked if (s.trial or 0) < 0), key=lambda s: -(s.trial or 0))
    if not probes:
        raise StoppedByFailures(
            f"no probe call was answered ({failures_text(ledger)})", "Mend the cause, then try again."
        )
    return [_sample(ledger, probe, priced) for probe in probes]


def _sample(ledger: Ledger, probe: CallStats, priced: bool) -> Sample:
    usage = usage_by_role(ledger, "search", probe.trial)["task"]
    tokens, usd = usage.tokens / probe.calls, usage.usd / probe.calls
    dollars = Range(usd, usd, usd) if priced else None
    return Sample(Range(tokens, tokens, tokens), dollars, probe.seconds)


def _judge(session: Session) -> Sample | None:
    """Return what the judge's calls took on average; None where it was asked nothing."""
    asked = [stats for stats in call_stats(session.ledger) if stats.role == "judge"]
    calls = sum(stats.calls for stats in asked)
    if not calls:
        return None
    usage = usage_by_role(session.ledger, "search")["judge"]
    tokens, usd = usage.tokens / calls, usage.usd / calls
    seconds = sum(stats.calls * stats.seconds for stats in asked) / calls
    priced = price_in_role(session.config, session.prices, "judge") is not None
    return Sample(Range(tokens, tokens, tokens), Range(usd, usd, usd) if priced else None, seconds)


def _notes(config: RunConfig, written: int, probed: int) -> list[str]:
    notes = [
        f"a call takes what {EXAMPLES} calls of each of {probed} candidates took; the interval is that of their mean"
    ]
    if config.models.also:
        first = config.models.task.model
        notes.append(f"calls are taken to be like those of the first task model, {first}; the others were not asked")
    if written:
        notes.append(f"{written} texts are written by the prompt model, judged by the length of what it is sent")
    if config.budget.usd or config.budget.calls or config.budget.tokens or config.budget.seconds:
        notes.append("the budget's limits hold; where the upper end reaches one, the search ends there")
    return notes
