"""`metier judge tune`: a judge's own prompt, optimized against the grades that people gave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from optimizer.config.schema import RunConfig
from optimizer.errors import CallError, ConfigError, MetierError, StoppedByFailures, TaskError
from optimizer.evaluate.concordance import MEASURES, Figure, concordance
from optimizer.evaluate.statistics import difference, interval, mean
from optimizer.job.judge import NO_MODEL, judge_of
from optimizer.job.judge_check import asked_judge, graded_answers
from optimizer.job.resume import hide_keys
from optimizer.job.run import run_config
from optimizer.job.watcher import Watcher
from optimizer.ledger.answers import answers_of
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report
from optimizer.system.files import write_atomically
from optimizer.task.metrics.base import Grade
from optimizer.task.metrics.judge import JudgeMetric
from optimizer.task.metrics.tuned import GRADE, REQUEST, TUNED_ON
from optimizer.task.scored import ScoredAnswer
from optimizer.task.task import Task
from optimizer.task.text import parse_json
from optimizer.task.tuning import Tuning, tuning_task

# Where the tuned prompt lies in the task's folder, unless the caller says otherwise.
FILE = "judge/best.json"
NEARNESS = "nearness"
_WORDS = {**MEASURES, NEARNESS: "nearness to people"}
# Held-out answers that both have graded; fewer tell nothing.
LEAST = 5


@dataclass(frozen=True)
class Tuned:
    """How a judge agrees with people before and after it was tuned, on `answers` that were held out.

    `failed` is how many it could not grade before, and when it was tuned: these are left out.
    `nearness` is the mean of 1 − |judge − people|; `gain` is how much more of it the tuned judge has. `kept` is the
    file of the tuned prompt, None where it is not shown to be better: then nothing was changed.
    """

    report: Report
    model: str
    answers: int
    failed: tuple[int, int]
    before: Mapping[str, Figure]
    after: Mapping[str, Figure]
    gain: Figure
    kept: Path | None

    def text(self) -> str:
        """Return it for a person."""
        lines = [f"the judge {self.model} against people, on {self.answers} held-out answers"]
        if any(self.failed):
            before, after = self.failed
            lines.append(f"  left out: {before} that it could not grade before, {after} that the tuned one could not")
        lines.append(f"  {'':<20}{'before':<21}tuned")
        lines += [f"  {words:<20}{self.before[name]!s:<21}{self.after[name]}" for name, words in _WORDS.items()]
        low, high = self.gain.ci95
        lines.append(f"  nearness gained by tuning: {self.gain.value:+.3f} [{low:+.3f}, {high:+.3f}]")
        if self.kept is None:
            best = self.report.run_dir / "best.json"
            lines.append("It is not shown that the tuned judge agrees better with people: nothing was changed.")
            lines.append(f"What was found lies in {best}.")
        else:
            lines.append(f"The tuned judge agrees better with people. Its prompt is in {self.kept}.")
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """Return it as data."""
        sides = {
            name: {key: {"value": one.value, "ci95": list(one.ci95)} for key, one in figures.items()}
            for name, figures in (("before", self.before), ("after", self.after))
        }
        gain = {"value": self.gain.value, "ci95": list(self.gain.ci95)}
        kept = None if self.kept is None else str(self.kept)
        run_dir = str(self.report.run_dir)
        failed = dict(zip(sides, self.failed, strict=True))
        figures = {"answers": self.answers, "failed": failed, **sides, "gain": gain}
        return {"model": self.model, **figures, "kept": kept, "run_dir": run_dir}


def tune_judge(
    config: RunConfig, task: Task, answers: Sequence[ScoredAnswer], out: Path, run_dir: str | None, watcher: Watcher
) -> Tuned:
    """Optimize the prompt by which a task's judge grades, and write it to `out` where it agrees better with people.

    Better is: on answers that the search has not seen, the interval of the gain in nearness to people's scores is above
    0. The run's files lie in `run_dir`; a run that was begun there goes on. Raises ConfigError where there is no judge,
    or the answers are too few, and what a run raises.
    """
    metric, model = judge_of(task), config.models.by_key.get("judge")
    if metric is None:
        raise ConfigError(f"{task.name}: its metric is {task.metric.name}, not judge", "Only a judge is tuned.")
    if model is None:
        raise ConfigError(f"{task.name}: {NO_MODEL}", "Name one: --model openai/gpt-4.1-mini, or a config that does.")
    if metric.options.pairwise:
        what = f"{task.name}: its judge compares two answers, and a tuned one grades one"
        raise ConfigError(what, "Leave pairwise out of the metric to tune it.")
    hide_keys(config)
    tuning = tuning_task(task, metric, answers)
    models = config.models.model_copy(update={"task": model, "also": (), "judge": None})
    # Several prompts that grade together would take as many calls for each grade of each answer of later runs.
    search = config.search.model_copy(update={"ensemble": 1})
    own = {"task": tuning.task.name, "models": models, "search": search, "run_dir": run_dir}
    try:
        report = run_config(config.model_copy(update=own), watcher, task=tuning.task)
    except MetierError as problem:  # whose task no file describes, so that `metier resume` would not know it
        problem.remedy = problem.remedy.replace("metier resume ", "metier judge tune … --run-dir ")
        raise
    text = _tuned_text(report.run_dir / "best.json", tuning)
    watcher.say(f"Asking the judge as it was about {len(tuning.held_out)} held-out answers …")
    before = asyncio.run(_graded_before(config, task, tuning.held_out))
    tuned = _compared(report, model.model, metric, tuning.held_out, before, _graded_after(report, metric, tuning))
    if tuned.gain.ci95[0] <= 0:
        return tuned
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, text, private=False)
    except OSError as problem:
        raise TaskError(f"{out}: cannot be written ({problem})", "Name another file: --out FILE.") from None
    return replace(tuned, kept=out)


def _tuned_text(best: Path, tuning: Tuning) -> str:
    """Return the run's best.json with the examples whose answers it was tuned on, so that no check asks about them."""
    data = parse_json(best.read_text(encoding="utf-8"))
    return json.dumps({**data, TUNED_ON: list(tuning.tuned_on)}, ensure_ascii=False, indent=1) + "\n"


async def _graded_before(config: RunConfig, task: Task, answers: Sequence[ScoredAnswer]) -> list[Grade | CallError]:
    with asked_judge(config, task) as (judge, _):
        return await graded_answers(judge, answers)


def _graded_after(report: Report, metric: JudgeMetric, tuning: Tuning) -> list[Grade | None]:
    """Return the tuned judge's grade of each held-out answer, None where one of its criteria has none.

    They are the winner's answers in the run's test, which the ledger holds: nothing is asked again.
    """
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        said = {one.example: one for one in answers_of(ledger, report.winner.candidate.id, "test")}
    words = {
        str(example.inputs[REQUEST]): str(said[example.id].fields.get(GRADE, ""))
        for example in tuning.task.test
        if example.id in said
    }
    return [
        metric.grade_of([words.get(request, "") for request in metric.grading(answer.example, answer.answer)])
        for answer in tuning.held_out
    ]


def _compared(
    report: Report,
    model: str,
    metric: JudgeMetric,
    answers: Sequence[ScoredAnswer],
    before: Sequence[Grade | CallError],
    after: Sequence[Grade | None],
) -> Tuned:
    rows = [
        (answer, one, other)
        for answer, one, other in zip(answers, before, after, strict=True)
        if isinstance(one, Grade) and other is not None
    ]
    if len(rows) < LEAST:
        what = f"both judges graded {len(rows)} of {len(answers)} held-out answers"
        raise StoppedByFailures(what, "Mend the cause, or name another judge, then tune it again.")
    people = [answer.score for answer, _, _ in rows]
    levels = max(len(criterion.levels) for criterion in metric.criteria.values())
    old, near_old = _figures([grade.value for _, grade, _ in rows], people, levels)
    new, near_new = _figures([grade.value for _, _, grade in rows], people, levels)
    gain = Figure(mean(near_new) - mean(near_old), difference(near_new, near_old))
    failed = sum(not isinstance(one, Grade) for one in before), sum(other is None for other in after)
    return Tuned(report, model, len(rows), failed, old, new, gain, None)


def _figures(judge: Sequence[float], people: Sequence[float], levels: int) -> tuple[dict[str, Figure], list[float]]:
    """Return a judge's agreement with people, and how near it is to them in each answer."""
    near = [1 - abs(one - other) for one, other in zip(judge, people, strict=True)]
    agreement = concordance(judge, people, levels, [0.0] * len(near))
    return {**agreement, NEARNESS: Figure(mean(near), interval(near))}, near
