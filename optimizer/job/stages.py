"""The stages of a run: prepare → search → test → baselines → report. Each takes values and returns one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from optimizer.config.models import SHORT_TOKENS
from optimizer.errors import StoppedByFailures
from optimizer.evaluate.aggregate import statistic_of
from optimizer.evaluate.evaluator import Evaluator, refuse_broken
from optimizer.evaluate.latency import latency_of_results
from optimizer.evaluate.precheck import Precheck, precheck
from optimizer.forecast.lengths import forecast_by_length
from optimizer.job.batches import batch_time_note
from optimizer.job.consistency import write_paraphrases
from optimizer.job.finish import finish, limit_key, read_report
from optimizer.job.folder import Job, models_json
from optimizer.job.folds import Pooled
from optimizer.job.mirror import mirrored
from optimizer.job.notes import Notes, cut_in_search, cut_off, cut_short, missing_answers, refuse_small
from optimizer.job.readouts import available_readouts, readable
from optimizer.job.resume import Claim, begin
from optimizer.job.session import Session, open_session
from optimizer.job.signals import Drain, cancelled_by_signals
from optimizer.job.strategy import Strategy, make_strategy
from optimizer.job.watcher import Watcher
from optimizer.ledger.answers import cut_answers, forget_failures, tokens_per_call
from optimizer.ledger.calls import failures_by_kind
from optimizer.ledger.clock import active_seconds
from optimizer.ledger.facts import put_models
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.result import Baseline, Report, Side
from optimizer.ledger.sent import masked_data
from optimizer.ledger.spend import lost_calls, recalled_calls
from optimizer.ledger.trials import proposers_of
from optimizer.prompt.overlap import duplicates_note, near_duplicates, quotes, quotes_note
from optimizer.report.result import trial_counts, unspent_note, usage_json
from optimizer.report.words import failures_text, masked_text
from optimizer.search.baselines import Compared, baseline_runs, measure_baselines
from optimizer.search.breakdown import by_part, by_slice
from optimizer.search.front import Point, choose
from optimizer.search.pools import task_screen
from optimizer.search.schedule import Schedule, affordable_answers, make_schedule
from optimizer.search.trials import Event
from optimizer.search.verdict import Outcome, Tested, final_test
from optimizer.system.redact import scrub
from optimizer.task.metrics.base import calls_of
from optimizer.task.metrics.consistency import times_of
from optimizer.types import Candidate


async def run_stages(job: Job, ledger: Ledger, claim: Claim) -> Report:
    """Run a job from its claim to its report; SIGINT and SIGTERM cancel it."""
    watcher, task, drain = job.watcher, job.task, Drain()
    notes = Notes(watcher.say, (*task.notes, *claim.notes))
    schedule = make_schedule(task.validation, claim.first_config, task.outputs, claim.calls_each, claim.together)
    begin(ledger, task, watcher.say)
    with (
        cancelled_by_signals(drain),
        open_session(task, job.config, ledger, job.endpoints, say=watcher.say, warn=watcher.warn) as session,
        mirrored(session, job.tracking_uri, claim.run_id, schedule.block, watcher) as watch,
    ):
        drain.door = session.door
        put_models(ledger, models_json(job.config, session.models.endpoints))
        watcher.connected(session.door)
        for role, endpoint in session.models.endpoints.items():
            if endpoint.address:
                watcher.say(scrub(f"{role} model: {endpoint.model} at {endpoint.address}"))
        prepared = await prepare(session, claim, schedule, notes, watcher, watch)
        winner = await search(session, prepared, notes, watcher)
        if job.pooled is None:
            outcome = await test(session, prepared, winner, notes, watcher)
            compared = await baselines(session, prepared, outcome, notes, watcher)
        else:
            outcome, compared = await pooled_test(job.pooled, prepared, winner, notes), []
        warn(session, winner.candidate, notes)
        result = report(job, session, claim, winner, outcome, compared, notes)
        finish(session, result)
    return read_report(ledger)


@dataclass(frozen=True)
class Prepared:
    """What the search begins with: the seed, the strategy, and how many validation answers the budget pays for."""

    seed: Candidate
    strategy: Strategy
    answers: int | None


@dataclass(frozen=True)
class Winner:
    """What the search chose: its `score` is the shrunken estimate on validation examples."""

    candidate: Candidate
    score: float
    front: Sequence[Point]


async def prepare(
    session: Session, claim: Claim, schedule: Schedule, notes: Notes, watcher: Watcher, watch: Callable[[Event], None]
) -> Prepared:
    """Look at the data, forecast what the run takes, keep room for the test, and fill the space."""
    task, programs = session.task, session.programs
    predictors = len(programs.predictors) * times_of(task.metric)
    if not task.folds:  # whose test is what the search sees; each fold's run looks for its own
        notes.add(duplicates_note(near_duplicates(task, programs.embed)))
    if {"task", "judge"} & session.prices.keys():
        forecast = await forecast_by_length(session.config, programs, schedule, session.prices)
        watcher.say(forecast.text())
    judging = calls_of(task.metric)
    tested = 0 if task.folds else len(task.test)
    baseline_calls = baseline_runs(programs, session.config) * (predictors + judging) if tested else 0
    concurrency = session.models.endpoints["task"].concurrency
    asked = 1 if claim.seed is None else claim.seed.together
    answered, graded = (asked + schedule.together) * tested * predictors, 2 * tested * judging
    share = graded / max(1, answered + graded)
    session.budget.begin(session.ledger, answered + graded, concurrency, baseline_calls, schedule.together, share)
    seen = chain(schedule.examples, () if task.folds else task.test)
    notes.add(await asyncio.ensure_future(write_paraphrases(session, seen)))  # a task's tag of calls is its own
    notes.add(batch_time_note(session.config, session.budget))
    readouts = await available_readouts(session, schedule.examples)
    notes.add(readouts.note)
    seed = claim.seed and readable(session, claim.seed)
    strategy = await make_strategy(session, claim.first_config, schedule, watch, readouts, seed)
    seed = seed or programs.seed(session.config.search.formats[0])
    return Prepared(seed, strategy, affordable_answers(claim.first_config, predictors + judging))


async def search(session: Session, prepared: Prepared, notes: Notes, watcher: Watcher) -> Winner:
    """Score the seed's first examples, search, and choose the winner by validation alone.

    Raises StoppedByFailures, TaskError for a program that always fails, ConfigError for a budget that is too small.
    """
    strategy, config = prepared.strategy, session.config
    watcher.begin(config, session.task, session.budget, session.ledger)
    try:
        await _precheck(session, prepared, watcher)
        best = await strategy.run(prepared.seed, config.trials)
    except StoppedByFailures:
        forget_failures(session.ledger, late=True)
        raise
    finally:
        watcher.end()
    if best is None or strategy.board.nothing_answered:
        forget_failures(session.ledger)
        refuse_small(session.budget)
        what = f"no candidate was answered often enough to be ranked ({failures_text(session.ledger)})"
        mend = "Mend the cause"
        if {"context_too_long", "invalid_request"} & {kind for kind, _, _ in failures_by_kind(session.ledger)}:
            mend += " (a server with a small context refuses long answers: set models.task.max_tokens)"
        raise StoppedByFailures(what, f"{mend}, then run it again with --run-dir {session.folder}.")
    best, front = choose(strategy.board, best, config.search, notes.add)
    strategy.proposals.settle(strategy.board)
    return Winner(strategy.board.candidates[best], strategy.board.shrunken(best), front)


async def _precheck(session: Session, prepared: Prepared, watcher: Watcher) -> None:
    strategy, seed = prepared.strategy, prepared.seed
    examples = strategy.schedule.examples
    result = await precheck(strategy.evaluator, session.task, seed, examples, prepared.answers)
    if result is not None:
        refuse_broken(result.results)
        strategy.board.add(seed, result.results)  # trial 0 begins with them
        watcher.say(result.text())
    _settle_limit(session, strategy.evaluator, result)


def _settle_limit(session: Session, evaluator: Evaluator, seen: Precheck | None) -> None:
    """Lower the limit on short answers to what they need, and keep it for a resumed run and the saved prompt.

    A model that talks on and on instead of naming a label then takes seconds, not minutes.
    """
    for model in session.config.models.task_models[1:]:
        session.ledger.put_meta(limit_key(model), evaluator.lm_of(model).kwargs.get("max_tokens"))
    limit = session.ledger.meta(limit_key(""))
    if limit is None:
        limit = evaluator.answer_limit
        # One that the config or a caller's LM names is theirs to change.
        ours = session.config.models.task.max_tokens is None and session.task.module is None and limit == SHORT_TOKENS
        if ours and seen is not None:
            limit = min(SHORT_TOKENS, seen.enough_tokens or SHORT_TOKENS)
        session.ledger.put_meta(limit_key(""), limit)
    if limit is not None and limit != evaluator.answer_limit:
        evaluator.limit_answers(limit)


async def test(session: Session, prepared: Prepared, winner: Winner, notes: Notes, watcher: Watcher) -> Outcome:
    """Run the seed and the winner over the test examples, once, and judge; raises StoppedByFailures without a pair."""
    examples = session.task.test
    watcher.say(f"Testing the seed and the winner on {len(examples)} held-out examples …")
    evaluator, progress = prepared.strategy.evaluator, partial(watcher.testing, what="the seed and the winner")
    # As it is by now: a seed whose readout is calibrated was fitted on the way.
    seed = prepared.strategy.board.candidates.get(prepared.seed.id, prepared.seed)
    outcome = await final_test(evaluator, seed, winner.candidate, examples, progress)
    notes.add(missing_answers(outcome))
    notes.add(cut_off(outcome))
    if len(outcome.seed.results) < len(examples):
        notes.add(cut_short(session.budget, outcome, len(examples)))
    elif not outcome.examples:
        what = f"no test example was answered by both prompts ({failures_text(session.ledger)})"
        raise StoppedByFailures(what, f"Run it again with --run-dir {session.folder}: nothing paid is lost.")
    return outcome


async def pooled_test(pooled: Pooled, prepared: Prepared, winner: Winner, notes: Notes) -> Outcome:
    """Judge by the test answers of the folds: all examples were searched on here, so that none is left to test with."""
    for note in pooled.notes:
        notes.add(note)
    outcome = await pooled.outcome(prepared.strategy.evaluator, prepared.seed, winner.candidate)
    notes.add(missing_answers(outcome))
    notes.add(cut_off(outcome))
    return outcome


async def baselines(
    session: Session, prepared: Prepared, outcome: Outcome, notes: Notes, watcher: Watcher
) -> list[Compared]:
    """Compare the winner with what needs no search, unless the budget cut the test short.

    The baselines' demos come from the data alone: `session.programs`, without the demos that the search had made.
    """
    if len(outcome.seed.results) < len(session.task.test):
        return []
    evaluator, progress = prepared.strategy.evaluator, partial(watcher.testing, what="what needs no search")
    winner = outcome.winner
    return await measure_baselines(evaluator, session.programs, session.config, winner, notes.add, progress)


def warn(session: Session, winner: Candidate, notes: Notes) -> None:
    """Note what a reader must know of the winner's text, and of answers that cost nothing."""
    notes.add(unspent_note(session.ledger))
    notes.add(cut_in_search(*cut_answers(session.ledger, "search")))
    if recalled := recalled_calls(session.ledger):
        notes.add(f"{recalled} calls were answered by the cache between runs, and cost nothing")
    if (masked := masked_data(session.ledger)) is not None:
        notes.add(f"personal data was masked in what was sent: {masked_text(masked)}")
    if winner.together > 1:
        notes.add(f"each answer of the winner takes {winner.together} calls, as so many prompts answer together")
    notes.add(quotes_note(quotes(winner, session.task.train)))
    guard = task_screen(session.programs).guard
    notes.add(guard.note())
    notes.add(guard.winner_note(winner))


def report(
    job: Job,
    session: Session,
    claim: Claim,
    winner: Winner,
    outcome: Outcome,
    compared: Sequence[Compared],
    notes: Notes,
) -> Report:
    """Return the outcome of the run as data; where it lies in MLflow is known when the mirror has ended."""
    ledger = session.ledger
    timed = session.config.search.by_latency
    seed, best = (_side(ledger, tested, timed) for tested in (outcome.seed, outcome.winner))
    return Report(
        run_id=claim.run_id,
        task=session.task.name,
        run_dir=session.folder,
        verdict=outcome.verdict,
        seed=seed,
        winner=seed if best.candidate.id == seed.candidate.id else best,
        validation_score=winner.score,
        difference=outcome.mean,
        difference_ci95=outcome.ci95,
        test_examples=outcome.examples,
        usage=usage_json(ledger, "search"),
        test_usage=usage_json(ledger, "test"),
        trials=trial_counts(ledger),
        seconds=active_seconds(ledger, ledger.clock.now()),
        mlflow={"tracking_uri": scrub(job.tracking_uri), "run_id": None} if job.tracking_uri else None,
        notes=tuple(notes.texts),
        lost_calls=lost_calls(ledger),
        baselines=tuple(_baseline(ledger, one) for one in compared),
        parts=tuple(by_part(outcome)),
        slices=tuple(by_slice(outcome, session.task.test if job.pooled is None else job.pooled.examples)),
        folds=len(job.task.folds),
        statistic=statistic_of(session.task.metric),
        front=tuple(point.to_json() for point in winner.front),
        proposers=proposers_of(ledger)[0],
    )


def _side(ledger: Ledger, tested: Tested, timed: bool = False) -> Side:
    tokens = tokens_per_call(ledger, tested.candidate.id, "test") or 0.0
    latency = latency_of_results(tested.results) if timed else None
    took = None if latency is None else latency.to_json()
    return Side(tested.candidate, tested.mean, tested.ci95, tokens, tested.cut, took)


def _baseline(ledger: Ledger, compared: Compared) -> Baseline:
    outcome = compared.outcome
    side = _side(ledger, outcome.seed)
    figures = (outcome.winner.mean, outcome.mean, outcome.ci95, outcome.examples)
    return Baseline(compared.name, side, *figures, outcome.hangs_on_cuts)
