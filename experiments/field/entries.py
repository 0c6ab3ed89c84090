"""The rows of the field's table: a method in one variant, with its lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.field.lines import Line, only
from experiments.field.methods import BARE, BARE_BUDGET, BUDGET, METHODS, SEEDS, SMALL
from optimizer.evaluate.statistics import difference, mean


@dataclass(frozen=True)
class Entry:
    """A row of the table: a method in one variant, with its lines by (task, seed)."""

    method: str
    variant: str
    lines: dict[tuple[str, int], Line]

    @property
    def name(self) -> str:
        """The method as the table shows it."""
        method = METHODS[self.method]
        given = self.variant == "turns" and "shipped" in method.variants and method.package != "optimizer"
        return METHODS[self.method].title + (" + our format" if given else "")

    def scores(self, task: str) -> list[float]:
        """Return the test scores of a task, one seed after the other; none for a seed that failed."""
        found = [line["scores"] for (name, _), line in sorted(self.lines.items()) if name == task]
        return [score for scores in found if scores is not None for score in scores]

    def value(self, task: str, seed: int) -> float | None:
        """Return a cell's rank value: its score, -1 if it failed, None if it was not run."""
        line = self.lines.get((task, seed))
        if line is None:
            return None
        return -1.0 if line["score"] is None else float(line["score"])

    def complete(self, tasks: Sequence[str]) -> bool:
        """Tell if there is a score for each task, of one seed at least."""
        return all(self.scores(task) for task in tasks)

    def overall(self, tasks: Sequence[str]) -> float:
        """Return the mean over tasks; a task without a score counts 0."""
        return mean([mean(self.scores(task)) for task in tasks])


@dataclass(frozen=True)
class Paired:
    """A difference of two means over the same examples, with its 95 % interval."""

    mean: float
    low: float
    high: float


def entries(
    lines: Sequence[Line], model: str, methods: Sequence[str] = tuple(METHODS), seeds: Sequence[int] = SEEDS
) -> list[Entry]:
    """Return every row of a model's table at the full budget with these seeds, also those of which nothing was run."""
    found = []
    for method in methods:
        variants = METHODS[method].variants if model == SMALL else METHODS[method].variants[:1]
        for variant in variants:
            mine = only(lines, method=method, variant=variant, model=model, budget=BUDGET, setting="usual")
            at = {(line["task"], line["seed"]): line for line in mine if line["seed"] in seeds}
            found.append(Entry(method, variant, at))
    return found


def from_nothing(lines: Sequence[Line], setting: str) -> list[Entry]:
    """Return the rows of a table that begins with the useless instruction; all are in our format."""
    found = []
    for method in BARE[setting]:
        mine = only(lines, method=method, setting=setting, budget=BARE_BUDGET)
        found.append(Entry(method, "turns", {(line["task"], line["seed"]): line for line in mine}))
    return found


def paired(ours: Entry, other: Entry, task: str) -> Paired | None:
    """Return ours minus the other on the seeds that both have played; None without one."""
    mine: list[float] = []
    theirs: list[float] = []
    for place, line in sorted(other.lines.items()):
        own = ours.lines.get(place)
        if place[0] == task and own is not None and own["scores"] is not None and line["scores"] is not None:
            mine += own["scores"]
            theirs += line["scores"]
    return Paired(mean(mine) - mean(theirs), *difference(mine, theirs)) if mine else None
