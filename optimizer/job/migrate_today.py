"""Today's prompt on today's model, on the test examples: from the answers that a run stored, or asked anew."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from optimizer.config.models import Models, is_local
from optimizer.config.schema import BudgetConfig, RunConfig
from optimizer.errors import ConfigError, Interrupted, StoppedByFailures
from optimizer.evaluate.evaluator import Result, phase_tag
from optimizer.job.folder import models_json
from optimizer.job.judge import judge_of
from optimizer.job.migrate_input import LEDGER, Plan, Wanted
from optimizer.job.resume import hide_keys
from optimizer.job.session import open_session
from optimizer.job.signals import Drain, cancelled_by_signals
from optimizer.job.watcher import Watcher
from optimizer.ledger.answers import Answer, answers_of
from optimizer.ledger.calls import begin_attempt
from optimizer.ledger.clock import catch_up
from optimizer.ledger.facts import MODELS, put_models
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import result_of
from optimizer.ledger.spend import Paid, paid_in_test
from optimizer.models.prices import prices_of
from optimizer.report.words import failures_text
from optimizer.system.files import is_file, private_folder
from optimizer.types import Score, task_key


@dataclass(frozen=True)
class Today:
    """Today's result on each test example, None where there is none, and what its calls took.

    `stored` says of which run they are and from when, "" where the model was asked; `priced` whether dollars are known.
    """

    results: Sequence[Result | None]
    paid: Sequence[Paid]
    priced: bool
    stored: str = ""


def todays(plan: Plan, wanted: Wanted, watcher: Watcher) -> Today:
    """Return today's results: those that a run stored, where it has one for every test example, else the model's own.

    A run that is named with `--stored` serves with what it has. Raises ConfigError where that is nothing, TaskError
    where the model to ask is not the file's to say, StoppedByFailures where no call is answered.
    """
    named = wanted.stored is not None
    folder = Path(str(wanted.stored)) if named else plan.old_run
    if folder is not None and not is_file(folder / LEDGER):
        raise ConfigError(f"--stored {folder}: no run lies here", "Give the folder of the run that the prompt won.")
    if folder is not None:
        stored, why = _stored(plan, folder)
        if stored is not None and (named or None not in stored.results):
            watcher.say(f"Today's answers are the stored ones of {stored.stored}: its model is not asked.")
            return stored
        if named:
            raise ConfigError(f"--stored {folder}: {why}", "Give the folder of the run that the prompt won.")
        watcher.say(f"{folder} does not serve in the place of today's model ({why or 'some answers are missing'}).")
    return _asked(plan, watcher)


def _stored(plan: Plan, folder: Path) -> tuple[Today | None, str]:
    """Return the stored answers of the prompt in a run, or None and why there are none that serve."""
    prompt = plan.prompt
    with closing(Reader(folder / LEDGER)) as ledger:
        report = result_of(ledger)
        if report is None:
            return None, "the run has not come to its test"
        sides = (report.winner, report.seed)
        side = next((one for one in sides if one.candidate.to_json() == prompt.candidate.to_json()), None)
        if side is None:
            return None, "the run did not test this prompt"
        asked = (ledger.meta(MODELS) or {}).get(task_key(side.candidate.model), {}).get("model", prompt.named.model)
        if asked != prompt.named.model:
            return None, f"the run asked {asked}, and the prompt names {prompt.named.model}"
        won = side is report.winner and report.winner.candidate.id != report.seed.candidate.id
        answers, paid = answers_of(ledger, side.candidate.id, "test"), paid_in_test(ledger, int(won))
        ended = ledger.read("SELECT MAX(ended) AS ended FROM calls")[0]["ended"]
    if not _same_metric(plan, answers):
        known = ", ".join(sorted({one.metric for one in answers}))
        return None, f"its answers are scored by {known}, not by {plan.task.metric.name}@{plan.task.metric.version}"
    results = _in_order(plan, answers)
    if all(one is None for one in results):
        return None, "it has no answer to any of the task's test examples"
    date = "" if ended is None else f", of {dt.datetime.fromtimestamp(ended):%Y-%m-%d}"
    priced = is_local(prompt.named.model) or any(call.usd for call in paid)
    return Today(results, paid, priced, f"{folder}{date}"), ""


def _same_metric(plan: Plan, answers: Sequence[Answer]) -> bool:
    """Tell if answers are scored by the task's metric; which model graded is no part of what the task says."""
    metric = plan.task.metric
    version, judged = f"{metric.name}@{metric.version}", judge_of(plan.task) is not None
    return all(one.metric == version or (judged and one.metric.startswith(f"{version}-")) for one in answers)


def _in_order(plan: Plan, answers: Sequence[Answer]) -> list[Result | None]:
    """Return the result on each of the task's test examples, None where there is none."""
    known = {answer.example: answer for answer in answers}
    return [None if (one := known.get(example.id)) is None else one.result for example in plan.task.test]


def _asked(plan: Plan, watcher: Watcher) -> Today:
    """Ask today's model, in a folder of the migration's own, which goes on where it was cut off."""
    prompt, first = plan.prompt, next(iter(plan.configs.values()))
    models = Models(
        task=prompt.model,
        judge=first.models.by_key.get("judge"),
        concurrency=first.models.concurrency,
        timeout=first.models.timeout,
    )
    config = first.model_copy(update={"models": models, "privacy": prompt.privacy, "budget": BudgetConfig()})
    hide_keys(config)
    folder = plan.folder / "today"
    private_folder(folder)
    with closing(Ledger(folder / LEDGER)) as ledger:
        results = _in_order(plan, answers_of(ledger, prompt.candidate.id, "test"))
        if not all(isinstance(result, Score) for result in results):
            catch_up(ledger)
            begin_attempt(ledger)
            watcher.say(f"Asking today's prompt of {prompt.named.model} on {len(plan.task.test)} test examples …")
            results = _answered(plan, config, ledger, watcher)
        priced = is_local(prompt.named.model) or "task" in prices_of(config)
        return Today(results, paid_in_test(ledger, 0), priced)


def _answered(plan: Plan, config: RunConfig, ledger: Ledger, watcher: Watcher) -> list[Result | None]:
    remedy = "Where it is gone, give the run that holds its answers: --stored RUN_DIR."
    try:
        results = asyncio.run(_answers(plan, config, ledger, watcher))
    except StoppedByFailures as problem:
        raise StoppedByFailures(problem.what, remedy) from None
    except asyncio.CancelledError:
        raise Interrupted("interrupted") from None
    if not any(isinstance(result, Score) and not result.failed for result in results):
        what = f"{plan.prompt.named.model} answered none of the test examples ({failures_text(ledger)})"
        raise StoppedByFailures(what, remedy)
    return list(results)


async def _answers(plan: Plan, config: RunConfig, ledger: Ledger, watcher: Watcher) -> list[Result]:
    drain, prompt, task = Drain(), plan.prompt, plan.task
    with (
        cancelled_by_signals(drain),
        open_session(task, config, ledger, programs=prompt.programs, say=watcher.say, warn=watcher.warn) as session,
    ):
        drain.door = session.door
        put_models(ledger, models_json(config, session.models.endpoints))
        prompt.check_file(session.models.endpoints["task"].sha256)
        return await session.evaluator.run(prompt.candidate, task.test, "test", 0, phase_tag("test", 0))
