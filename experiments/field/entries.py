"""The rows of the field's table: a method in one variant, with its lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
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
        """Return a task's test scores, one for each example: the mean over the seeds that were tested on it."""
        return [mean(scores) for scores in by_example(self._of(task)).values()]

    def seeds(self, task: str) -> list[int]:
        """Return the seeds of which there are scores."""
        return [line["seed"] for line in self._of(task) if line["scores"] is not None]

    def value(self, task: str, seed: int) -> float | None:
        """Return a cell's rank value: its score, -1 if it failed, None if it was not run."""
        line = self.lines.get((task, seed))
        if line is None:
            return None
        return -1.0 if line["score"] is None else float(line["score"])

    def complete(self, tasks: Sequence[str], seeds: Sequence[int] = SEEDS) -> bool:
        """Tell if there are scores of each task with each seed."""
        return all(set(seeds) <= set(self.seeds(task)) for task in tasks)

    def overall(self, tasks: Sequence[str]) -> float:
        """Return the mean over tasks; a task without a score counts 0."""
        return mean([mean(self.scores(task)) for task in tasks])

    def _of(self, task: str) -> list[Line]:
        return [line for (name, _), line in sorted(self.lines.items()) if name == task]


@dataclass(frozen=True)
class Paired:
    """A difference of two means over the same examples, with its 95 % interval."""

    mean: float
    low: float
    high: float


def entries(
    lines: Sequence[Line],
    model: str,
    methods: Sequence[str] = tuple(METHODS),
    seeds: Sequence[int] = SEEDS,
    budget: int = BUDGET,
) -> list[Entry]:
    """Return every row of a model's table with these seeds and calls, also those of which nothing was run."""
    found = []
    for method in methods:
        variants = METHODS[method].variants if model == SMALL else METHODS[method].variants[:1]
        for variant in variants:
            mine = only(lines, method=method, variant=variant, model=model, budget=budget, setting="usual")
            at = {(line["task"], line["seed"]): line for line in mine if line["seed"] in seeds}
            found.append(Entry(method, variant, at))
    return found


def peers(rows: Sequence[Entry], tasks: Sequence[str], seeds: Sequence[int] = SEEDS) -> list[Entry]:
    """Return the rows of what a user could pick instead of metier, of which every cell has a score."""
    return [row for row in rows if METHODS[row.method].package != "optimizer" and row.complete(tasks, seeds)]


def from_nothing(lines: Sequence[Line], setting: str) -> list[Entry]:
    """Return the rows of a table that begins with the useless instruction; all are in our format."""
    found = []
    for method in BARE[setting]:
        mine = only(lines, method=method, setting=setting, budget=BARE_BUDGET)
        found.append(Entry(method, "turns", {(line["task"], line["seed"]): line for line in mine}))
    return found


def by_example(lines: Iterable[Line]) -> dict[Hashable, list[float]]:
    """Return the test scores of each example over the lines; a line without places shares none with the others."""
    found: dict[Hashable, list[float]] = defaultdict(list)
    for line in lines:
        places: Sequence[Hashable] | None = line.get("places")
        for at, score in enumerate(line["scores"] or ()):
            found[(line["seed"], at) if places is None else places[at]].append(score)
    return found


def paired(ours: Entry, other: Entry, task: str) -> Paired | None:
    """Return ours minus the other, example by example, on the seeds that both have played; None without one."""
    both = [seed for seed in other.seeds(task) if seed in ours.seeds(task)]
    mine, theirs = (by_example(row.lines[task, seed] for seed in both) for row in (ours, other))
    if not mine:
        return None
    gaps = [(mean(mine[example]), mean(theirs[example])) for example in mine]
    return Paired(mean([one - two for one, two in gaps]), *difference(*zip(*gaps, strict=True)))
