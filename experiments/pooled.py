"""Scores of methods over several seeds of a benchmark, whose test examples are pooled, as tables of Markdown.

Seeds have splits of their own: a test example that several of them test counts once, with its mean. Intervals are of
95 %, over examples; they know nothing of the luck of a search, which only many seeds show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from statistics import fmean
from typing import Any, NamedTuple

from experiments.cells import Finished
from optimizer.evaluate.statistics import Interval, difference, interval
from optimizer.sweep.results import value_text

NONE = "–"

# What each test example scored, by its id.
Scores = Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """One finished cell: what its seed and its winner scored on the test, and what the search took.

    `split` is the cell's seed, `believed` what the winner's score was said to be before the test.
    """

    task: str
    method: str
    split: str
    seed: Scores
    winner: Scores
    verdict: str
    calls: float
    seconds: float
    believed: float | None = None


class Estimate(NamedTuple):
    """A score or a difference with its 95 % interval."""

    mean: float
    ci95: Interval


def run_of(cell: Finished) -> Run:
    """Return a finished cell as a run; answers that never came are left out."""
    told = cell.outcome
    seed, winner = ({k: v[side] for k, v in told["test"].items() if v[side] is not None} for side in (0, 1))
    split, method = str(cell.values.get("seed", "")), method_of(cell.values)
    believed = told["winner"].get("validation_score")
    return Run(told["task"], method, split, seed, winner, told["verdict"], told["asked"], told["seconds"], believed)


def method_of(values: Mapping[str, Any]) -> str:
    """Return a cell's method: its strategy, and what else its search section says but with which prompts it begins.

    Where the sweep varies the calls of a search, they are part of it.
    """
    search = values.get("search") or {"strategy": values.get("search.strategy", "default")}
    options = {key: value for key, value in search.get("options", {}).items() if key != "initial_prompts"}
    others = {key: value for key, value in search.items() if key != "options"}
    name = value_text({**others, "options": options} if options else others)
    return f"{name}, {values['budget.calls']} calls" if "budget.calls" in values else name


def mean_of(scores: Scores) -> float:
    """Return the mean over the test examples."""
    return fmean(scores.values())


def score(runs: Iterable[Scores]) -> Estimate | None:
    """Return the mean over the distinct test examples of all splits, and its interval; None without an answer."""
    values = [fmean(each) for each in _by_example(runs).values()]
    return Estimate(fmean(values), interval(values)) if values else None


def gain(pairs: Iterable[tuple[Scores, Scores]]) -> Estimate | None:
    """Return how far the first of each pair is ahead of the second on the same examples, and its interval."""
    ours: list[Scores] = []
    theirs: list[Scores] = []
    for one, other in pairs:
        ours.append({name: value for name, value in one.items() if name in other})
        theirs.append({name: value for name, value in other.items() if name in one})
    a, b = ([fmean(each) for each in _by_example(side).values()] for side in (ours, theirs))
    return Estimate(fmean(a) - fmean(b), difference(a, b)) if a else None


def ahead(runs: Sequence[Run], ours: str, theirs: str, task: str) -> Estimate | None:
    """Return how far a method's winners are ahead of another's in a task, over the seeds that both were played with."""
    mine, other = (
        {run.split: run.winner for run in runs if (run.task, run.method) == (task, m)} for m in (ours, theirs)
    )
    return gain((mine[split], other[split]) for split in mine if split in other)


def over_tasks(estimates: Sequence[Estimate | None]) -> Estimate | None:
    """Return the mean of independent estimates, each task counting alike; None where one is missing.

    The distances to the ends add up as squares (MOVER: Zou & Donner, Statistics in Medicine 27, 2008).
    """
    known = [one for one in estimates if one is not None]
    if not known or len(known) < len(estimates):
        return None
    mean = fmean(one.mean for one in known)
    low, high = (hypot(*(one.mean - one.ci95[end] for one in known)) / len(known) for end in (0, 1))
    return Estimate(mean, (mean - low, mean + high))


def _by_example(runs: Iterable[Scores]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for name, value in run.items():
            values[name].append(value)
    return values


def score_text(estimate: Estimate | None) -> str:
    """Return a score in percent with its interval."""
    if estimate is None:
        return NONE
    return f"{100 * estimate.mean:.1f} [{100 * estimate.ci95[0]:.0f}, {100 * estimate.ci95[1]:.0f}]"


def gain_text(estimate: Estimate | None) -> str:
    """Return a difference in points with its interval."""
    if estimate is None:
        return NONE
    return f"{100 * estimate.mean:+.1f} [{100 * estimate.ci95[0]:+.0f}, {100 * estimate.ci95[1]:+.0f}]"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
