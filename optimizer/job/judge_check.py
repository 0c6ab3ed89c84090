"""`metier judge check`: how far a task's judge agrees with people who scored the same answers."""

from __future__ import annotations

import asyncio
import datetime as dt
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from optimizer.config.models import ModelConfig
from optimizer.config.schema import BudgetConfig, Cache, RunConfig
from optimizer.door.budget import Budget
from optimizer.door.door import Door, tag_of_call
from optimizer.errors import BudgetSpent, CallError, ConfigError, StoppedByFailures
from optimizer.evaluate.concordance import MEASURES, Figure, concordance, constant_share, share
from optimizer.evaluate.evaluator import wait_for_all
from optimizer.evaluate.statistics import difference, mean
from optimizer.job.judge import NO_MODEL, judge_of, with_judge
from optimizer.job.judge_record import JudgeRecord, as_record
from optimizer.job.resume import hide_keys
from optimizer.ledger.calls import CallTag
from optimizer.ledger.ledger import Ledger
from optimizer.models.fleet import Fleet, Say
from optimizer.models.prices import prices_of
from optimizer.models.providers import Endpoint
from optimizer.task.metrics.base import Grade
from optimizer.task.metrics.judge import JudgeMetric
from optimizer.task.metrics.rubric import Criterion
from optimizer.task.metrics.verdicts import as_data
from optimizer.task.scored import ScoredAnswer
from optimizer.task.task import Task
from optimizer.types import ModelKey

# Fewer answers tell nothing of a judge; more failed ones leave too few.
LEAST, MOST_FAILED = 10, 0.2
AGAIN = 30


@dataclass(frozen=True)
class Checked:
    """What a check found, and whether the judge may be believed as far as the config asks."""

    record: JudgeRecord
    refused: str

    def text(self) -> str:
        """Return it for a person."""
        one = self.record
        failed = f", {one.failed} more could not be graded" if one.failed else ""
        lines = [f"{one.task}: the judge {one.model} against people, on {one.answers} answers{failed}"]
        lines += [
            f"  {words:<22}{one.agreement[name].figure}" for name, words in _WORDS.items() if name in one.agreement
        ]
        lines.append(f"  a judge that always gives people's most frequent grade: {one.constant:.2f} equal grades")
        for name, figures in one.criteria.items():
            shown = ", ".join(f"{MEASURES[measure]} {figures[measure].figure}" for measure in ("accuracy", "kappa"))
            lines.append(f"  {name}: {shown}")
        return "\n".join([*lines, f"refused: {self.refused}" if self.refused else "the judge may be used"])


_WORDS = {
    **MEASURES,
    "bias": "judge − people",
    "length_bias": "bias by length (tau)",
    "repeatability": "equal when asked again",
    "position_bias": "prefers the first",
    "same_swapped": "equal when swapped",
}


def check_judge(
    config: RunConfig, task: Task, answers: Sequence[ScoredAnswer], again: int = AGAIN, say: Say = lambda text: None
) -> Checked:
    """Return how far the config's judge agrees with people on some answers; the first `again` are asked about twice.

    Raises ConfigError where task or config have no judge, where the answers are too few or all scored alike, and
    StoppedByFailures where the judge gives too few grades.
    """
    hide_keys(config)
    metric, model = judge_of(task), config.models.judge
    if metric is None:
        raise ConfigError(f"{task.name}: its metric is {task.metric.name}", "Only a judge is checked.")
    if model is None:
        raise ConfigError(f"{task.name}: {NO_MODEL}", "Name one: --model openai/gpt-4.1-mini, or a config that does.")
    if metric.tuned is not None:
        held_out = [answer for answer in answers if answer.example.id not in metric.tuned.tuned_on]
        if len(held_out) < len(answers):
            say(f"{len(answers) - len(held_out)} answers are left out: the judge's prompt was tuned on their inputs")
        answers = held_out
    if len(answers) < LEAST:
        raise ConfigError(f"{len(answers)} answers have a score of people's", f"Give {LEAST} at least; 100 tell much.")
    if len({answer.score for answer in answers}) == 1:
        raise ConfigError(
            "people gave all answers the same score", "Give answers that are good, and some that are bad."
        )
    return asyncio.run(_check(config, model, task, metric, answers, again, say))


async def _check(
    config: RunConfig,
    model: ModelConfig,
    task: Task,
    metric: JudgeMetric,
    answers: Sequence[ScoredAnswer],
    again: int,
    say: Say,
) -> Checked:
    with asked_judge(config, task, say=say) as (asked, endpoints):
        say(f"Asking {model.model} about {len(answers)} answers …")
        grades = await graded_answers(asked, answers)
        graded = [(answer, grade) for answer, grade in zip(answers, grades, strict=True) if isinstance(grade, Grade)]
        failures = [grade for grade in grades if isinstance(grade, CallError)]
        if len(failures) > MOST_FAILED * len(answers) or len(graded) < LEAST:
            what = f"the judge gave no grade for {len(failures)} of {len(answers)} answers ({failures[0].what})"
            raise StoppedByFailures(what, "Mend the cause, or name another judge, then check it again.")
        preferences = await _preferences(asked, [answer for answer, _ in graded])
        # The door gives the answer that it has to an equal request: only in another ledger the model is asked again.
        with asked_judge(config, task, endpoints) as (repeated, _):
            second = await graded_answers(repeated, [answer for answer, _ in graded[:again]])
    pairs = zip((grade for _, grade in graded), second, strict=False)
    equal = [first.parts == other.parts for first, other in pairs if isinstance(other, Grade)]
    record = _record(task, model.model, metric, graded, equal, len(failures))
    if preferences:
        first = [value for value, _ in preferences]
        bias = Figure(mean(first), difference(first, [0.0] * len(first)))
        swapped = share([same for _, same in preferences])
        agreement = record.agreement | as_record({"position_bias": bias, "same_swapped": swapped})
        record = record.model_copy(update={"agreement": agreement})
    return Checked(record, _refusal(config, record))


async def _preferences(metric: JudgeMetric, answers: Sequence[ScoredAnswer]) -> list[tuple[float, bool]]:
    """Return what a judge that compares makes of the order; the door has its replies already, so none is paid."""
    if not metric.options.pairwise:
        return []
    return [await metric.preference(answer.example, answer.answer) for answer in answers]


@contextmanager
def asked_judge(
    config: RunConfig, task: Task, endpoints: Mapping[ModelKey, Endpoint] | None = None, say: Say = lambda text: None
) -> Iterator[tuple[JudgeMetric, Mapping[ModelKey, Endpoint]]]:
    """Open a ledger of its own and yield the metric that asks through it; the judge is the only model that is started.

    Yields the endpoints too, for a further ledger while this one is open.
    """
    judge = config.models.by_key["judge"]
    models = config.models.model_copy(update={"task": judge, "also": (), "prompt": None})
    alone = config.model_copy(
        update={"models": models, "budget": BudgetConfig(usd=config.budget.usd), "cache": Cache()}
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ledger = stack.enter_context(closing(Ledger(folder / "ledger.db")))
        fleet = stack.enter_context(Fleet(models, folder, say, endpoints or {}))
        budget = Budget(alone.budget, ledger.clock.now, time.time)
        door = Door(ledger, budget, fleet.endpoints, prices_of(alone), config.failures, None, config.privacy)
        stack.enter_context(closing(door))
        metric = with_judge(task, alone, door, fleet).metric
        assert isinstance(metric, JudgeMetric)  # noqa: S101 - for mypy
        yield metric, fleet.endpoints


async def graded_answers(metric: JudgeMetric, answers: Sequence[ScoredAnswer]) -> list[Grade | CallError]:
    """Return a judge's grade of each answer, or why there is none; raises ConfigError where the budget ends."""

    async def one(answer: ScoredAnswer) -> Grade | CallError:
        tag_of_call.set(CallTag("judge", "test", example=answer.example.id))
        try:
            return await metric.grade(answer.example, answer.answer)
        except CallError as problem:
            return problem

    tasks = [asyncio.ensure_future(one(answer)) for answer in answers]
    await wait_for_all(tasks)
    if spent := [problem for task in tasks if isinstance(problem := task.exception(), BudgetSpent)]:
        raise ConfigError(f"budget.{spent[0].name}: too little to check the judge", "Give more, or leave it out.")
    return [task.result() for task in tasks]


def _record(
    task: Task,
    model: str,
    metric: JudgeMetric,
    graded: Sequence[tuple[ScoredAnswer, Grade]],
    equal: Sequence[bool],
    failed: int,
) -> JudgeRecord:
    lengths = [float(sum(len(as_data(value)) for value in answer.answer.values())) for answer, _ in graded]
    levels = max(len(criterion.levels) for criterion in metric.criteria.values())
    people = [answer.score for answer, _ in graded]
    agreement = concordance([grade.value for _, grade in graded], people, levels, lengths)
    if equal:
        agreement["repeatability"] = share(equal)
    return JudgeRecord(
        task=task.name,
        model=model,
        rubric=metric.rubric_digest,
        answers=len(graded),
        failed=failed,
        checked=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        agreement=as_record(agreement),
        criteria={
            name: as_record(found)
            for name, criterion in metric.criteria.items()
            if (found := _of_criterion(name, criterion, graded, lengths))
        },
        constant=constant_share(people, levels),
    )


def _of_criterion(
    name: str, criterion: Criterion, graded: Sequence[tuple[ScoredAnswer, Grade]], lengths: Sequence[float]
) -> dict[str, Figure]:
    """Return the figures of one criterion, where people graded it in some answers."""
    rows = [
        (grade.parts[name], answer.parts[name], length)
        for (answer, grade), length in zip(graded, lengths, strict=True)
        if name in answer.parts
    ]
    if len(rows) < LEAST:
        return {}
    judge, people, long = (list(column) for column in zip(*rows, strict=True))
    return concordance(judge, people, len(criterion.levels), long)


def _refusal(config: RunConfig, record: JudgeRecord) -> str:
    """Return why the judge is not to be used, "" where it may be."""
    if too_little := record.too_little(config.judge):
        return f"it agrees too little with people: {too_little}"
    if record.agreement[config.judge.measure].ci95[0] <= 0 and config.judge.measure != "accuracy":
        return f"it agrees no more with people than chance may: {record.words(config.judge)}"
    return ""
