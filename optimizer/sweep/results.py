"""A sweep's finished cells, put in order for its report: tasks, methods, seeds, and scores by test example."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from optimizer.evaluate.statistics import Z95, Interval, difference, interval
from optimizer.report.clean import cell as clean
from optimizer.sweep.ledger import CellRecord, SweepReader
from optimizer.types import canonical_json

TASK, SEED = "task", "seed"
# What a sweep's cells have in common where only tasks and seeds vary.
ONLY = "the sweep's run"
# A side of a test: its index in an outcome's `test`.
SIDES = {"seed": 0, "winner": 1}


@dataclass(frozen=True)
class Estimate:
    """A score or a difference with its 95 % interval, on so many test examples."""

    mean: float
    ci95: Interval
    examples: int


@dataclass(frozen=True)
class Results:
    """What a sweep's report is made of: its cells, its spec as data, and how its cells vary."""

    folder: Path
    spec: Mapping[str, Any]
    cells: Sequence[CellRecord]

    @classmethod
    def read(cls, folder: Path) -> Results:
        """Read a sweep's ledger; raises LedgerError where none lies."""
        with closing(SweepReader(folder)) as ledger:
            return cls(folder, ledger.meta("spec") or {}, ledger.cells())

    @cached_property
    def varying(self) -> list[str]:
        """The keys of which the cells have several values."""
        keys = self.cells[0].cell.values if self.cells else {}
        return [key for key in keys if len({canonical_json(one.cell.values.get(key)) for one in self.cells}) > 1]

    @cached_property
    def method_keys(self) -> list[str]:
        """The keys that make a method: those that vary but the task and the seed."""
        return [key for key in self.varying if key not in (TASK, SEED)]

    @cached_property
    def finished(self) -> list[CellRecord]:
        """The cells that have an outcome."""
        return [one for one in self.cells if one.outcome is not None]

    @cached_property
    def tasks(self) -> list[str]:
        """The tasks of finished cells, in the order of the cells."""
        return list(dict.fromkeys(self.task(one) for one in self.finished))

    @cached_property
    def methods(self) -> list[str]:
        """The methods of finished cells, in the order of the cells."""
        return list(dict.fromkeys(self.method(one) for one in self.finished))

    def task(self, record: CellRecord) -> str:
        """Return a finished cell's task by name; one whose name another has, too, by its path."""
        name = str(outcome(record)["task"])
        path = record.cell.values.get(TASK)
        return clean(f"{name} ({path})" if path is not None and name in self._ambiguous else name)

    @cached_property
    def _ambiguous(self) -> set[str]:
        paths: dict[str, set[str]] = {}
        for one in self.finished:
            paths.setdefault(str(outcome(one)["task"]), set()).add(str(one.cell.values.get(TASK)))
        return {name for name, known in paths.items() if len(known) > 1}

    def method(self, record: CellRecord) -> str:
        """Return a cell's method: its values of the keys that make one."""
        return clean(", ".join(value_text(record.cell.values[key]) for key in self.method_keys)) or ONLY

    @cached_property
    def _groups(self) -> dict[tuple[str, str], list[CellRecord]]:
        groups: dict[tuple[str, str], list[CellRecord]] = {}
        for one in self.finished:
            groups.setdefault((self.task(one), self.method(one)), []).append(one)
        return groups

    def of(self, task: str | None = None, method: str | None = None) -> list[CellRecord]:
        """Return the finished cells of a task, or of a method, or of both."""
        return [
            one
            for (of_task, of_method), cells in self._groups.items()
            if task in (None, of_task) and method in (None, of_method)
            for one in cells
        ]

    @cached_property
    def everywhere(self) -> list[str]:
        """The methods that have a finished cell in every task: only they can be compared over all of them."""
        return [method for method in self.methods if all(self.of(task, method) for task in self.tasks)]

    @cached_property
    def by_task(self) -> list[np.ndarray]:
        """Scores of the winners of the methods that are `everywhere`: for each task methods × seeds × examples."""
        return [self._array(task) for task in self.tasks]

    def _array(self, task: str) -> np.ndarray:
        cells = {(self.method(one), seed_of(one)): one for one in self.of(task)}
        seeds = list(dict.fromkeys(seed for _, seed in cells))
        examples = list(dict.fromkeys(name for one in cells.values() for name in outcome(one)["test"]))
        index = {name: number for number, name in enumerate(examples)}
        scores = np.full((len(self.everywhere), len(seeds), len(examples)), np.nan)
        for i, method in enumerate(self.everywhere):
            for j, seed in enumerate(seeds):
                if (method, seed) in cells:
                    for name, sides in outcome(cells[method, seed])["test"].items():
                        if sides[1] is not None:
                            scores[i, j, index[name]] = sides[1]
        return scores

    def score(self, cells: Sequence[CellRecord], side: str = "winner") -> Estimate:
        """Return the mean score of cells of one task, and its interval over the test examples, given the seeds."""
        means = by_example(cells, SIDES[side])
        values = list(means.values())
        score = float(np.mean([outcome(one)[side]["score"] for one in cells]))
        if all(outcome(one)["is_mean"] for one in cells):
            return Estimate(score, interval([min(1.0, max(0.0, x)) for x in values]), len(values))
        return Estimate(score, _normal(score, values), len(values))

    def difference(self, task: str, ours: str, theirs: str) -> Estimate | None:
        """Return by how much a method is ahead of another on the same test examples of a task, over common seeds."""
        sides = [{seed_of(one): one for one in self.of(task, method)} for method in (ours, theirs)]
        seeds = [seed for seed in sides[0] if seed in sides[1]]
        mine, rival = (by_example([side[seed] for seed in seeds], 1) for side in sides)
        common = [name for name in mine if name in rival]
        if not common:
            return None
        a, b = [mine[name] for name in common], [rival[name] for name in common]
        gains = [x - y for x, y in zip(a, b, strict=True)]
        mean = float(np.mean(gains))
        bounded = all(outcome(one)["is_mean"] for side in sides for one in side.values())
        return Estimate(mean, difference(a, b) if bounded else _normal(mean, gains), len(common))

    def reached(self, task: str, cells: Sequence[CellRecord]) -> tuple[list[int], list[float]]:
        """Return calls and dollars at which cells reached the task's target; those that did not are left out."""
        target = self.target(task)
        rises = [next((rise for rise in outcome(one)["curve"] if rise[2] >= target), None) for one in cells]
        known = [rise for rise in rises if rise is not None]
        return [rise[0] for rise in known], [rise[1] for rise in known]

    def target(self, task: str) -> float:
        """Return the validation score that half of a task's cells reached in their searches."""
        finals = [outcome(one)["curve"][-1][2] for one in self.of(task) if outcome(one)["curve"]]
        return float(median(finals)) if finals else math.inf


def outcome(record: CellRecord) -> Mapping[str, Any]:
    """Return the outcome of a finished cell."""
    assert record.outcome is not None  # noqa: S101 - it is finished
    return record.outcome


def seed_of(record: CellRecord) -> str:
    """Return a cell's seed, "" where the sweep names none."""
    return canonical_json(record.cell.values.get(SEED, ""))


def by_example(cells: Iterable[CellRecord], side: int) -> dict[str, float]:
    """Return the mean over cells of what each test example scored, for those that all of them answered."""
    answered = [{k: v[side] for k, v in outcome(one)["test"].items() if v[side] is not None} for one in cells]
    if not answered:
        return {}
    common = [name for name in answered[0] if all(name in one for one in answered[1:])]
    return {name: sum(one[name] for one in answered) / len(answered) for name in common}


def value_text(value: object) -> str:
    """Return a value of a matrix as a reader would write it; of a section its strategy first, if it has one."""
    if isinstance(value, Mapping) and value:
        head = [str(value["strategy"])] if "strategy" in value else []
        return ", ".join([*head, *(f"{key} {value_text(one)}" for key, one in value.items() if key != "strategy")])
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return " ".join(value)
    return value if isinstance(value, str) else canonical_json(value)


def _normal(mean: float, values: Sequence[float]) -> Interval:
    """Return mean ± 1.96 standard errors, for what has no bounds: the influences of a statistic."""
    if len(values) < 2:
        return -1.0, 1.0
    half = Z95 * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean - half, mean + half
