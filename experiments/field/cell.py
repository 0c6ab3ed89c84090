"""One cell of the field: a method on a task; played in a process of its own, which hands back JSON.

`python -m experiments.field.cell JOB.json` is what `run.py` starts.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from optimizer.task.load import load_task
from optimizer.task.task import Task

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]
SHOWN = 400


@dataclass(frozen=True)
class Cell:
    """What is measured: `variant` is 'shipped' or 'turns', `setting` one of `tasks`, `n` test examples."""

    task: str
    method: str
    variant: str
    model: str
    budget: int
    seed: int
    n: int = 100
    setting: str = "usual"

    @property
    def key(self) -> str:
        """One text that names this cell."""
        return "/".join(map(str, asdict(self).values()))


@dataclass(frozen=True)
class Found:
    """What a method found: how its winner answers one input (None: unreadable), and what it is.

    `scores` are the test's where the method has made it itself, and `searched` is when it began with it,
    by time.monotonic(); `extra` goes into the cell's line.
    """

    answer: Answer | None
    prompt: Mapping[str, Any]
    scores: tuple[float, ...] | None = None
    searched: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A cell with what it takes to play it: the task's folder, a folder to work in, the proxy's address."""

    cell: Cell
    task_dir: str
    work_dir: str
    address: str

    def base(self, role: str) -> str:
        """Return the URL of a role's endpoint, with /v1."""
        return f"{self.address}/{role}/v1"

    def end_search(self, longest: int | None = None) -> None:
        """Tell the proxy that the search is over: the test's calls are not counted to the budget.

        `longest`: an answer of the test has so many tokens at most.
        """
        body = json.dumps(longest).encode()
        request = urllib.request.Request(f"{self.address}/end_search", body, method="POST")  # noqa: S310 - ours
        urllib.request.urlopen(request, timeout=60).close()  # noqa: S310

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read what `write` wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**data, "cell": Cell(**data["cell"])})

    def write(self, path: Path) -> None:
        """Write this job for the process that plays it."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def play(job: Job, method: Callable[[Job, Task], Found]) -> dict[str, Any]:
    """Return the cell's outcome: the test's scores and the winner, or the error that the method ended with."""
    task, start = load_task(job.task_dir), time.monotonic()
    try:
        found = method(job, task)
        searched = found.searched or time.monotonic()
        if found.scores is None:
            job.end_search()
        scores = found.scores or tested(task, found)
    except Exception as problem:  # noqa: BLE001 - the boundary: however a method ends is what is measured
        traceback.print_exc()
        text = f"{type(problem).__name__}: {problem}"
        return {"error": text[:SHOWN], "where": _place(problem), "seconds": {"search": time.monotonic() - start}}
    seconds = {"search": searched - start, "test": time.monotonic() - searched}
    return {"scores": list(scores), "prompt": dict(found.prompt), "seconds": seconds, **found.extra}


def tested(task: Task, found: Found) -> tuple[float, ...]:
    """Return the winner's score on each test example; an answer that cannot be read scores 0."""
    assert found.answer is not None
    return tuple(task.metric(example, found.answer(example.inputs))[0] for example in task.test)


def _place(problem: Exception) -> str:
    """Return where the exception came from: the deepest frame outside this experiment."""
    frames = traceback.extract_tb(problem.__traceback__)
    package = [f for f in frames if "site-packages" in f.filename]
    last = (package or frames)[-1]
    return f"{last.filename.rpartition('site-packages/')[2]}:{last.lineno} {last.name}"


def main() -> None:
    """Play the job whose file is given; its outcome is written beside it."""
    place = Path(sys.argv[1])
    job = Job.read(place)
    from experiments.field.methods import METHODS

    module, _, name = METHODS[job.cell.method].place.partition(":")
    method = getattr(importlib.import_module(f"experiments.field.{module}"), name)
    outcome = play(job, method)
    draft = place.with_name("outcome.draft")
    draft.write_text(json.dumps(outcome), encoding="utf-8")
    draft.replace(place.with_name("outcome.json"))


if __name__ == "__main__":
    main()
