"""Folds: a run for each, and the verdict on their test answers together. The prompt is that of a search on all data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from optimizer.config.schema import Mlflow, Notify, RunConfig
from optimizer.errors import ConfigError, Interrupted, MetierError
from optimizer.evaluate.evaluator import Evaluator
from optimizer.job.folder import Job
from optimizer.ledger.answers import Answer, answers_of, result_from
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report
from optimizer.report.words import gain
from optimizer.search.verdict import Outcome, Tested, judge
from optimizer.system.redact import scrub
from optimizer.types import Candidate, Example, Failure, Score

# Runs one fold, and returns its report: `optimizer.job.run.run_config` with the caller's models.
RunFold = Callable[[Job], Report]


@dataclass(frozen=True)
class Pooled:
    """The test answers of all folds: the seed's, and of each fold's winner those to what its search had not seen.

    `notes` say what came of each fold.
    """

    examples: Sequence[Example]
    seed: Sequence[Score | Failure]
    winners: Sequence[Score | Failure]
    notes: Sequence[str]

    async def outcome(self, evaluator: Evaluator, seed: Candidate, winner: Candidate) -> Outcome:
        """Return the verdict on how the winner was searched; the answers are recorded as the test's of this run.

        Where the search on all data found no other prompt than the seed there is nothing to judge.
        """
        await evaluator.record(seed, self.examples, self.seed, "test")
        if winner.id == seed.id:
            return judge(*[Tested(seed, list(self.seed), evaluator.aggregate)] * 2)
        await evaluator.record(winner, self.examples, self.winners, "test")
        sides = ((seed, self.seed), (winner, self.winners))
        return judge(*(Tested(candidate, list(results), evaluator.aggregate) for candidate, results in sides))


def share_of_budget(config: RunConfig, runs: int) -> RunConfig:
    """Return a run's config with its share of the limits, for so many runs of equal shares.

    Raises ConfigError for a clock time, which has no shares, and for calls that are too few.
    """
    limits = config.budget
    if limits.until is not None:
        what = f"budget.until: {limits.until} cannot be shared by the {runs} runs that split.folds asks for"
        raise ConfigError(what, "Give budget.seconds in its place.")
    shares = {name: _share(value, runs) for name, value in limits}
    few = {name for name, value in shares.items() if value == 0}
    shared = config.model_copy(update={"budget": limits.model_copy(update=shares)})
    if few or shared.few_calls() is not None:
        name = next(iter(few), "calls")
        what = f"budget.{name}: {getattr(limits, name)} is too little for the {runs} runs that split.folds asks for"
        raise ConfigError(what, f"Give more: each run has {shares[name]} of them. Or take fewer folds.")
    return shared


def run_folds(job: Job, run: RunFold) -> Pooled:
    """Run each fold of a job's task in a folder of its own, fold-1 and so on; one that is finished is read.

    The job's config has the share of one run. Raises what a run raises, which then says to go on with the whole.
    """
    examples: list[Example] = []
    sides: tuple[list[Score | Failure], list[Score | Failure]] = ([], [])
    notes = []
    for number, task in enumerate(job.task.folds, 1):
        folder = job.run_dir / f"fold-{number}"
        job.watcher.say(f"Fold {number} of {len(job.task.folds)}: its prompt is tested on {len(task.test)} examples …")
        tracking = job.config.tracking
        if tracking.mlflow is not None:
            mirror = Mlflow(uri=job.tracking_uri or None, experiment=tracking.mlflow.experiment)
            tracking = tracking.model_copy(update={"mlflow": mirror})
        own = {"run_dir": str(folder), "tracking": tracking, "notify": Notify()}
        fold = Job(job.config.model_copy(update=own), task, folder, job.tracking_uri, job.watcher, job.endpoints)
        report = _of_the_whole(job.run_dir, folder, lambda fold=fold: run(fold))  # type: ignore[misc]
        seed, winner = _tested(folder, report)
        both = sorted(seed.keys() & winner.keys())
        examples += [task.test[at] for at in both]
        for side, answers in zip(sides, (seed, winner), strict=True):
            side += [result_from(answers[at]) for at in both]
        notes.append(_note(number, report, len(task.test)))
    return Pooled(examples, *sides, notes)


def _share(value: object, runs: int) -> object:
    if isinstance(value, int):
        return value // runs
    return value / runs if isinstance(value, float) else value


def _of_the_whole(run_dir: Path, folder: Path, call: Callable[[], Report]) -> Report:
    """Return what a call returns; what it raises names the whole run's folder as the one to go on with."""
    try:
        return call()
    except Interrupted as problem:
        raise Interrupted(problem.what, f"Go on with `metier resume {run_dir}`: nothing paid is lost.") from None
    except MetierError as problem:
        problem.remedy = problem.remedy.replace(str(folder), str(run_dir))
        raise


def _tested(folder: Path, report: Report) -> tuple[dict[int, Answer], dict[int, Answer]]:
    """Return the test answers of a fold's seed and of its winner, by the example's position."""
    with closing(Reader(folder / "ledger.db")) as ledger:
        seed, winner = (
            {answer.position: answer for answer in answers_of(ledger, side.candidate.id, "test")}
            for side in (report.seed, report.winner)
        )
    return seed, winner


def _note(number: int, report: Report, planned: int) -> str:
    cut = "" if report.test_examples == planned else f" of {planned}"
    calls = sum(sum(usage["calls"].values()) for usage in (report.usage, report.test_usage))
    difference = {"mean": report.difference, "ci95": report.difference_ci95}
    return scrub(
        f"fold {number}: {report.seed.test_score:.3f} → {report.winner.test_score:.3f} ({gain(difference)}) on "
        f"{report.test_examples}{cut} examples, {calls:,} calls; {report.run_dir}"
    )
