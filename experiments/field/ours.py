"""metier as a user runs it, and two honest simple things: random demos, and the nearest ones without a search."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from experiments.field.cell import SHOWN, Cell, Found, Job
from optimizer.config.schema import RunConfig
from optimizer.job.run import run_config
from optimizer.job.watcher import Watcher
from optimizer.ledger.answers import answers_of
from optimizer.ledger.reader import Reader
from optimizer.ledger.trials import all_trials
from optimizer.models.embed import Embedder
from optimizer.prompt.program import ROOT, Programs
from optimizer.search.ensembles import ENOUGH, FEW, MANY
from optimizer.task.task import Task
from optimizer.types import Candidate, Prompt

# metier tests the seed, too, which no table shows: without demos a small model would talk to the end of every answer.
# What the winner answers is a label, or a list of a few words.
SEED_TOKENS = 64


class _Switch(Watcher):
    """Tells the proxy when the search ends, for the run goes on to test the seed and the winner itself."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.ended = 0.0

    def end(self) -> None:
        """The search is over."""
        self.ended = time.monotonic()
        self._job.end_search(SEED_TOKENS)


def search(job: Job, task: Task) -> Found:
    """Run `optimize` with every default; MLflow is off, because the others record nothing either.

    The baselines that a run measures after its verdict are off as well: here they are methods of their own.
    """
    config: dict[str, Any] = {
        "task": job.task_dir,
        "models": {
            "task": {"model": "openai/local", "api_base": job.base("task")},
            "concurrency": 1,
            "timeout": 600,
        },
        "budget": {"calls": job.cell.budget},
        "test": {"baselines": 0},
        "search": _search(job.cell),
        "tracking": {"mlflow": None},
        "seed": job.cell.seed,
        "run_dir": str(Path(job.work_dir) / "run"),
    }
    if job.cell.setting != "usual":
        config["models"]["prompt"] = {"model": "openai/local", "api_base": job.base("prompt")}
    switch = _Switch(job)
    report = run_config(RunConfig.model_validate(config), switch)
    with closing(Reader(report.run_dir / "ledger.db")) as ledger:
        scores = _test_scores(ledger, report.winner.candidate, task)
        extra = {
            "verdict": report.verdict,
            "validation_score": report.validation_score,
            "seed_scores": list(_test_scores(ledger, report.seed.candidate, task)),
            "curve": curve(ledger),
        }
    return Found(None, summary(report.winner.candidate.prompts[ROOT]), scores, switch.ended, extra)


def _search(cell: Cell) -> dict[str, Any]:
    """Return what a cell leaves to be searched.

    With the usual setting all is default. As many prompts may answer together as would by default if the same model
    were named `local/…`: behind the proxy, which counts the calls, metier cannot know that they cost nothing.
    """
    if cell.setting != "usual":
        return {"formats": ["turns"], **({"demos": {"counts": [0]}} if cell.setting == "bare" else {})}
    return {"ensemble": MANY if cell.budget >= ENOUGH else FEW}


def curve(ledger: Reader) -> list[tuple[int, float]]:
    """Return (calls so far, best validation score so far) at each end of a trial that saw the whole race."""
    sql = "SELECT ended FROM calls WHERE phase = 'search' AND state = 'done' ORDER BY ended"
    ends = [row["ended"] for row in ledger.read(sql)]
    points: list[tuple[int, float]] = []
    best = 0.0
    for trial in sorted(all_trials(ledger), key=lambda row: row.ended or float("inf")):
        if trial.state == "complete" and trial.score is not None:
            best = max(best, trial.score)
            points.append((sum(end <= (trial.ended or 0.0) for end in ends), round(best, 4)))
    return points


def random_demos(job: Job, task: Task) -> Found:
    """Show 16 random training examples in the turns format; no search, no call."""
    rng = random.Random(job.cell.seed)  # noqa: S311 - a draw of examples, not a secret
    demos = tuple(rng.sample(task.train, min(16, len(task.train))))
    return _fixed(job, task, Prompt(task.instruction, "turns", "static", len(demos), demos=demos))


def nearest_demos(job: Job, task: Task) -> Found:
    """Show the 8 training examples nearest to each input in the turns format; no search, no call."""
    return _fixed(job, task, Prompt(task.instruction, "turns", "nearest", 8))


def summary(prompt: Prompt) -> dict[str, Any]:
    """Return what a prompt is, short enough for a line of results."""
    return {
        "instruction": prompt.instruction[:SHOWN],
        "format": prompt.format,
        "demos": prompt.count,
        "policy": prompt.policy,
        "order": prompt.order,
        **({"together": len(prompt.asked)} if prompt.ensemble else {}),
    }


def _fixed(job: Job, task: Task, prompt: Prompt) -> Found:
    import dspy
    from dspy.utils.exceptions import AdapterParseError

    embed = Embedder.local()
    program = Programs(task, task.train, embed).build(Candidate({ROOT: prompt}))
    lm = dspy.LM("openai/local", api_base=job.base("task"), api_key="none", temperature=0.0, cache=False)

    def answer(inputs: Mapping[str, Any]) -> Mapping[str, Any] | None:
        with dspy.context(lm=lm):
            try:
                prediction = program(**inputs)
            except AdapterParseError:
                return None
        return {name: getattr(prediction, name, None) for name in task.outputs}

    return Found(answer, summary(prompt))


def _test_scores(ledger: Reader, candidate: Candidate, task: Task) -> tuple[float, ...]:
    """Return a candidate's test scores in the task's order; every example must have been answered."""
    rows = {row.example: row.value for row in answers_of(ledger, candidate.id, "test")}
    scores = [rows.get(example.id) for example in task.test]
    if None in scores:
        raise RuntimeError(f"{scores.count(None)} of {len(scores)} test examples were not answered")
    return tuple(float(score) for score in scores if score is not None)
