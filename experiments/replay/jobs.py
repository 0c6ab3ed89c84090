"""Replays one by one or in parallel, and the file in which those that were made are kept."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import optimizer
from experiments.jsonl import append, read
from experiments.replay.generator import drawn
from experiments.replay.methods import METHODS
from experiments.replay.play import Played
from experiments.replay.tables import Table, dump, load_all
from experiments.replay.worlds import World, replayed
from optimizer.types import digest

# What decides how a replay ends, beside its table: these parts of the product, and these modules here.
PRODUCT = ("config", "evaluate", "search", "task")
MODULES = ("generator", "methods", "play", "rivals", "schedules", "worlds")


@dataclass(frozen=True)
class Job:
    """One replay: a method on a world of a task, drawn by the seed; `state` is that of the code and the table."""

    method: str
    task: str
    kind: str
    evaluations: float
    seed: int
    candidates: int = 0
    examples: int = 0
    state: str = ""


@dataclass(frozen=True)
class Found:
    """What came of a replay, scores in [0, 1]."""

    job: Job
    regret: float
    optimism: float
    luckiest: float
    calls: int
    trials: int


def kept(jobs: Sequence[Job], folder: Path, out: Path, processes: int) -> list[Found]:
    """Return what came of each job, in order: what `out` holds is read, the rest is played and added to it."""
    jobs = [replace(job, state=state(folder, job.task)) for job in jobs]
    known = {found.job: found for found in _read(out)}
    missing = [job for job in jobs if job not in known]
    for found in in_parallel(played_on(folder), missing, processes):
        known[found.job] = found
        append(out, {**asdict(found.job), **{name: value for name, value in asdict(found).items() if name != "job"}})
    return [known[job] for job in jobs]


@cache
def state(folder: Path, task: str) -> str:
    """Return a digest of the code that plays and of the task's table: what another one played is played anew."""
    product, here = Path(optimizer.__file__).parent, Path(__file__).parent
    sources = [path for part in PRODUCT for path in sorted((product / part).rglob("*.py"))]
    sources += [here / f"{name}.py" for name in MODULES]
    return digest([path.read_text(encoding="utf-8") for path in sources] + [dump(tables_of(folder)[task])])


def played_on(folder: Path) -> Callable[[Job], Found]:
    """Return what plays a job on the tables of a folder; another process can be given it."""
    return partial(play, folder)


def play(folder: Path, job: Job) -> Found:
    """Return what came of one replay."""
    world = world_for(tables_of(folder)[job.task], job.kind, job.seed, job.candidates, job.examples)
    ended: Played = METHODS[job.method](world, round(job.evaluations * world.length), job.seed)
    truth = float(world.truth[ended.winner])
    row, mean = ended.plain or (ended.winner, ended.reported)
    luck = mean - float(world.truth[row])
    return Found(job, float(world.truth.max()) - truth, ended.reported - truth, luck, ended.calls, ended.trials)


def world_for(table: Table, kind: str, seed: int, candidates: int = 0, examples: int = 100) -> World:
    """Return a table's world: `table`, `held-out`, or `drawn` with so many candidates and examples."""
    if kind == "drawn":
        return drawn(table, seed, candidates, examples)
    return replayed(table, seed, held_out=kind == "held-out")


@lru_cache(maxsize=1)
def tables_of(folder: Path) -> dict[str, Table]:
    """Return the tables of a folder by task; each process reads them once."""
    return {table.task: table for table in load_all(folder)}


def _read(path: Path) -> Iterator[Found]:
    for data in read(path):
        yield Found(Job(**{name: data.pop(name) for name in Job.__dataclass_fields__}), **data)


def in_parallel(work: Callable[[Any], Any], jobs: Sequence[Any], processes: int) -> Iterable[Any]:
    """Yield what `work` makes of each job, in order."""
    if processes == 1 or len(jobs) < 2:
        yield from map(work, jobs)
        return
    # One process a core: the libraries' own threads, read when these are imported, would be in each other's way.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(work, jobs, chunksize=8)
