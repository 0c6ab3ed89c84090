"""`metier migrate`: whether a prompt may move to other models, as it is or tuned, and what it is worth there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from optimizer.config.models import is_local
from optimizer.config.schema import RunConfig
from optimizer.errors import Interrupted, StoppedByFailures
from optimizer.evaluate.aggregate import Aggregate, aggregate_of, answers
from optimizer.evaluate.evaluator import Result
from optimizer.evaluate.noninferiority import ERROR, Decided, Paired, Tried, Verdict, decide, enough_for
from optimizer.job.finish import model_of
from optimizer.job.migrate_input import LEDGER, Plan, Wanted, plan
from optimizer.job.migrate_today import Today, todays
from optimizer.job.run import run_config
from optimizer.job.watcher import Watcher
from optimizer.ledger.answers import answers_of
from optimizer.ledger.facts import MODELS
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report
from optimizer.ledger.spend import Paid, paid_in_test
from optimizer.models.prices import prices_of
from optimizer.prompt.saved import dump_prompt
from optimizer.report.migration import Cost, Gain, Measured, Migration, ModelOutcome, markdown
from optimizer.report.words import dimensions_of
from optimizer.search.verdict import count_cut
from optimizer.system.files import write_atomically
from optimizer.task.task import Task
from optimizer.track.promote import pin
from optimizer.types import Candidate, Score

# A model moves; none does; none moves, and of one at least it cannot be told.
MOVES, STAYS, UNTOLD = 0, 1, 2
AS_IT_IS, TUNED = "as it is", "tuned"
SAME_AGAIN = "Give the same command again: nothing that was paid for is paid for again."


@dataclass(frozen=True)
class _Side:
    """A prompt on a new model: its results by position among the test examples, and what its calls took."""

    name: str
    candidate: Candidate
    results: Mapping[int, Result]
    paid: Sequence[Paid]


@dataclass(frozen=True)
class _Run:
    """A finished run on one new model: `sides` are the prompt as it is, the baselines, and the winner if it is another.

    `sha256` is that of a local model's file.
    """

    config: RunConfig
    report: Report
    sides: Sequence[_Side]
    sha256: str
    priced: bool


def exit_code(migration: Migration) -> int:
    """Return 0 where a model can be moved to, 1 where none is to be, 2 where that cannot be told."""
    if migration.moves:
        return MOVES
    return STAYS if all(one.verdict == "do not move" for one in migration.models) else UNTOLD


def migrate(source: str, wanted: Wanted, make_watcher: Callable[[], Watcher] = Watcher) -> Migration:
    """Return what is proven of moving a prompt to each of some models; its files lie in the migration's folder.

    The same call goes on with one that was cut off: each model's run, and what today's model is asked, has a ledger of
    its own there. Raises MetierError: ConfigError, TaskError, ModelError, LedgerError, StoppedByFailures, Interrupted.
    """
    job = plan(source, wanted)
    watcher = make_watcher()
    try:
        today = todays(job, wanted, watcher)
        runs = {name: _run(job, config, make_watcher) for name, config in job.configs.items()}
    except Interrupted as problem:  # a run's own remedy goes on with that run alone
        raise Interrupted(problem.what, SAME_AGAIN) from None
    except StoppedByFailures as problem:
        again = "" if "same command" in problem.remedy else f"\n  {SAME_AGAIN}"
        raise StoppedByFailures(problem.what, f"{problem.remedy}{again}") from None
    paired = {name: _paired(job.task, today, run) for name, run in runs.items()}
    tried = [Tried(pairs[AS_IT_IS], pairs.get(TUNED)) for pairs in paired.values()]
    decided = dict(zip(runs, decide(tried, wanted.margin), strict=True))
    models = [_outcome(job, wanted.margin, name, runs[name], paired[name], decided[name]) for name in runs]
    notes, common = _notes_of(job, runs)
    migration = Migration(
        task=job.task.name,
        prompt=source,
        model=job.prompt.named.model,
        margin=wanted.margin,
        error=ERROR,
        test_examples=len(job.task.test),
        today=_measured_today(job, today),
        stored=today.stored,
        models=[replace(one, notes=notes[name]) for name, one in zip(runs, models, strict=True)],
        folder=str(job.folder),
        notes=[*_notes(job, today), *common],
    )
    _write(migration)  # before MLflow, which may be away, is asked
    if wanted.register is not None:
        migration = _registered(migration, runs, wanted.register)
        _write(migration)
    return migration


def _run(job: Plan, config: RunConfig, make_watcher: Callable[[], Watcher]) -> _Run:
    """Run a search on a new model that begins with the prompt as it is, or read the one that is finished."""
    old = job.prompt.candidate.asking("")  # the first model of its run, which has no other
    seed = Candidate({name: prompt.uncalibrated for name, prompt in old.prompts.items()})
    watcher = make_watcher()
    watcher.say(f"{config.models.task.model}:")
    try:
        report = run_config(config, watcher, task=job.task, seed=seed)
    finally:
        watcher.end()
    numbered = [(AS_IT_IS, report.seed.candidate, 0)]
    numbered += [(one.name, one.side.candidate, number) for number, one in enumerate(report.baselines, 2)]
    if report.winner.candidate.id != report.seed.candidate.id:
        numbered.append((TUNED, report.winner.candidate, 1))
    passes: dict[str, int] = {}  # of prompts that are the same, the first one's calls are those that were made
    for _, candidate, number in sorted(numbered, key=lambda one: one[2]):
        passes.setdefault(candidate.id, number)
    with closing(Reader(report.run_dir / LEDGER)) as ledger:
        sides = [
            _Side(
                name,
                candidate,
                {answer.position: answer.result for answer in answers_of(ledger, candidate.id, "test")},
                paid_in_test(ledger, passes[candidate.id]),
            )
            for name, candidate, _ in numbered
        ]
        sha256 = (ledger.meta(MODELS) or {}).get("task", {}).get("sha256", "")
        config = config.model_copy(
            update={"models": config.models.model_copy(update={"task": model_of(config, ledger)})}
        )
    priced = is_local(config.models.task.model) or "task" in prices_of(config)
    return _Run(config, report, sides, sha256, priced)


def _paired(task: Task, today: Today, run: _Run) -> dict[str, Paired]:
    """Return each prompt beside today's, on the examples of which both have a result."""
    aggregate = aggregate_of(task.metric)
    return {side.name: _beside(side, today, aggregate) for side in run.sides}


def _beside(side: _Side, today: Today, aggregate: Aggregate) -> Paired:
    both = [
        (side.results[position], result)
        for position, result in enumerate(today.results)
        if result is not None and position in side.results
    ]
    return Paired([new for new, _ in both], [old for _, old in both], aggregate)


def _registered(migration: Migration, runs: Mapping[str, _Run], prefix: str) -> Migration:
    """Let `champion` mean each prompt that moves, under a name of its model's own; returns the migration with these."""
    models = [
        one
        if one.use is None
        else replace(one, registered=pin(run.report, Path(one.use), f"{prefix}-{name}", one.verdict))
        for one, (name, run) in zip(migration.models, runs.items(), strict=True)
    ]
    return replace(migration, models=models)


def _write(migration: Migration) -> None:
    folder = Path(migration.folder)
    write_atomically(folder / "migration.json", json.dumps(migration.to_json(), ensure_ascii=False, indent=1))
    write_atomically(folder / "migration.md", markdown(migration))


def _outcome(
    job: Plan, margin: float, name: str, run: _Run, paired: Mapping[str, Paired], decided: Decided
) -> ModelOutcome:
    """Return what was found of one model, and write the prompts that it takes."""
    claimed = [pairs for key, pairs in paired.items() if key in (AS_IT_IS, TUNED)]
    told = decided.verdict != "cannot be told"
    use = _write_prompts(job, name, run, decided.verdict)
    return ModelOutcome(
        model=run.config.models.task.model,
        verdict=decided.verdict,
        measured=[_measured(side, paired[side.name], run) for side in run.sides],
        enough=None if told else enough_for(claimed, margin, decided.error),
        run_dir=str(run.report.run_dir),
        use=None if use is None else str(use),
    )


def _measured(side: _Side, paired: Paired, run: _Run) -> Measured:
    results = [result for _, result in sorted(side.results.items())]
    gain = None if not paired.examples else Gain(*paired.gain, paired.examples)
    cost = _cost(side.paid, results, run.priced)
    return replace(_figures(side.name, side.candidate, results, paired.aggregate, cost), gain=gain)


def _measured_today(job: Plan, today: Today) -> Measured:
    results = [result for result in today.results if result is not None]
    cost = _cost(today.paid, results, today.priced)
    return _figures("today", job.prompt.candidate, results, aggregate_of(job.task.metric), cost)


def _figures(name: str, candidate: Candidate, results: Sequence[Result], aggregate: Aggregate, cost: Cost) -> Measured:
    scores = answers(results)
    figures = (aggregate.score(scores), aggregate.interval(scores))
    counts = (len(results), len(results) - len(scores), count_cut(results))
    return Measured(name, candidate.id, dimensions_of(candidate), *figures, *counts, cost)


def _cost(paid: Sequence[Paid], results: Sequence[Result], priced: bool) -> Cost:
    each = [result.calls for result in results if isinstance(result, Score) and result.calls]
    usd = 1000 * float(np.mean([call.usd for call in paid])) if paid and priced else None
    p50, p95 = (
        (float(np.quantile([call.seconds for call in paid], share)) for share in (0.5, 0.95)) if paid else (None,) * 2
    )
    return Cost(usd, p50, p95, float(np.mean(each)) if each else 1.0)


def _write_prompts(job: Plan, name: str, run: _Run, verdict: Verdict) -> Path | None:
    """Write the prompt as it is on this model, and the one to use where it moves; returns the file of that one."""
    report, folder = run.report, job.folder / name
    note = {"run_id": report.run_id, "verdict": verdict, "test_score": report.seed.test_score}
    model, privacy = run.config.models.task, run.config.privacy
    as_it_is = dump_prompt(job.task, report.seed.candidate, model, note, privacy, run.sha256)
    write_atomically(folder / "as-it-is.json", as_it_is)
    best = folder / "best.json"
    best.unlink(missing_ok=True)  # of an earlier verdict, with another margin or fewer models
    if verdict == "moves as it is":
        write_atomically(best, as_it_is)
    elif verdict == "moves after tuning":
        note["test_score"] = report.winner.test_score
        write_atomically(best, dump_prompt(job.task, report.winner.candidate, model, note, privacy, run.sha256))
    else:
        return None
    return best


def _notes_of(job: Plan, runs: Mapping[str, _Run]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the notes of each model's run, and those that several models all have, which are said once."""
    notes = {name: _run_notes(job, run) for name, run in runs.items()}
    first = next(iter(notes.values()))
    common = [note for note in first if len(notes) > 1 and all(note in others for others in notes.values())]
    return {name: [note for note in own if note not in common] for name, own in notes.items()}, common


def _run_notes(job: Plan, run: _Run) -> list[str]:
    """Return what a reader must know of one model: how the prompt as it is was held, and what the run says."""
    before, held = job.prompt.candidate, run.report.seed.candidate
    notes = []
    if before.reads_labels and not held.reads_labels:
        notes.append(
            "as it is: the labels are read from the words of the answers, as this model tells no log-probabilities"
        )
    elif held.calibrated:
        notes.append(
            "as it is: instruction, demos and format; the offsets of its labels are fitted anew on validation answers "
            "of this model, for those of another mean nothing here"
        )
    if run.report.winner.candidate.id == held.id:
        notes.append("tuning found nothing that is better on validation examples than the prompt as it is")
    return [*notes, *run.report.notes]


def _notes(job: Plan, today: Today) -> list[str]:
    """Return what a reader must know of the migration as a whole."""
    notes = []
    if today.stored:
        notes.append(
            f"today's answers are stored ones of {today.stored}: whatever its provider changed since is not in them"
        )
    lacking = sum(result is None for result in today.results)
    if lacking:
        notes.append(f"{lacking} of {len(today.results)} test examples have no stored answer, and are left out")
    tests = {example.id for example in job.task.test}
    shown = {demo.id for prompt in job.prompt.candidate.asked for demo in prompt.demos}
    if seen := len(tests & shown):
        notes.append(f"{seen} of the prompt's demos are test examples of this task: its scores say too much")
    pool = {example.id for example in job.prompt.programs.task.train}
    if job.prompt.candidate.retrieves and pool != {example.id for example in job.task.train}:
        notes.append(
            "as it is: demos are retrieved from the task's training examples, which are not those that the prompt was "
            "saved with"
        )
    return notes
