"""The field: who runs in it, in which variants, and the grid of cells in the order in which they are played."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from experiments.field.cell import Cell
from experiments.field.tasks import FROM_NOTHING, TASKS

SMALL, LARGER = "local/smollm2-135m", "local/qwen2.5-coder-1.5b"


@dataclass(frozen=True)
class Method:
    """One contender: its name in the table, where its function is, what it needs, which variants it has."""

    title: str
    place: str
    package: str = "dspy"
    variants: tuple[str, ...] = ("shipped",)


BOTH = ("shipped", "turns")
METHODS: dict[str, Method] = {
    "ours": Method("metier", "ours:search", "optimizer"),
    "random-16": Method("16 random demos", "ours:random_demos", "optimizer", ("turns",)),
    "nearest-8": Method("8 nearest demos", "ours:nearest_demos", "optimizer", ("turns",)),
    "labeled": Method("LabeledFewShot", "dspy_peers:labeled", variants=BOTH),
    "bootstrap": Method("BootstrapFewShotWithRandomSearch", "dspy_peers:bootstrap", variants=BOTH),
    # Knobs do not say all that is spent: as shipped an answer may take two calls, and reflections are not counted.
    "bootstrap-half": Method("BootstrapFewShotWithRandomSearch, knobs for half", "dspy_peers:bootstrap_half"),
    "mipro": Method("MIPROv2", "dspy_peers:mipro", variants=BOTH),
    "gepa": Method("GEPA", "dspy_peers:gepa", variants=BOTH),
    "gepa-half": Method("GEPA, knobs for half", "dspy_peers:gepa_half"),
    "copro": Method("COPRO", "dspy_peers:copro", variants=BOTH),
    "simba": Method("SIMBA", "dspy_peers:simba", variants=BOTH),
    "capo": Method("CAPO", "promptolution_peers:capo", "promptolution"),
    "evoprompt": Method("EvoPrompt (GA)", "promptolution_peers:evoprompt", "promptolution"),
    "opro": Method("OPRO", "promptolution_peers:opro", "promptolution"),
}
# What must be complete; task by task, cheap methods first, so that an early table has whole columns.
REQUIRED = ("random-16", "nearest-8", "ours", "bootstrap", "mipro", "gepa", "capo")
REQUIRED_LARGER = ("ours", "mipro", "gepa")
BUDGET, SEEDS = 200, (0, 1)
# From a useless instruction, with the larger model, all in one format: setting → who plays, with how many calls.
BARE_BUDGET = 250
BARE = {"bare": ("ours", "gepa", "copro"), "demos": ("ours", "mipro")}
# Nothing was chosen on these: ours beside those that came nearest, as (method, variant).
FRESH_SEEDS, FRESH = (2, 3), (("ours", "shipped"), ("nearest-8", "turns"), ("bootstrap", "turns"))
# Budgets at which ours is run too, to see how many calls the best peer's score takes.
FRACTIONS = (50, 100)


def grid() -> Iterator[Cell]:
    """Yield every cell once, the most wanted first: seed 0 of the required ones, then seed 1, then the rest."""
    seen: set[str] = set()
    for cell in _in_order():
        if cell.key not in seen:
            seen.add(cell.key)
            yield cell


def required(cell: Cell) -> bool:
    """Tell if the cell belongs to the part of the grid that must be complete."""
    if cell.setting != "usual" or cell.seed not in SEEDS or cell.budget != BUDGET:
        return False
    if cell.variant != METHODS[cell.method].variants[0]:
        return False
    if cell.model == SMALL:
        return cell.method in REQUIRED
    return cell.method in REQUIRED_LARGER and cell.task in ("banking10", "taxonomy_animal")


def _in_order() -> Iterator[Cell]:
    for seed in SEEDS:
        yield from (_cell(task, method, seed) for task in TASKS for method in REQUIRED)
    for seed in SEEDS:
        yield from (_cell(task, "ours", seed, budget=calls) for calls in FRACTIONS for task in TASKS)
    for task in ("banking10", "taxonomy_animal"):
        yield from (_cell(task, method, 0, LARGER) for method in REQUIRED_LARGER)
    yield from _from_nothing()
    for seed, (name, variant) in product(FRESH_SEEDS, FRESH):
        yield from (_cell(task, name, seed, variant=variant) for task in TASKS)
    for seed in SEEDS:
        for name, method in METHODS.items():
            for variant in method.variants:
                yield from (_cell(task, name, seed, variant=variant) for task in TASKS)


def _from_nothing() -> Iterator[Cell]:
    for seed, (setting, names) in product(SEEDS, BARE.items()):
        for name, task in product(names, FROM_NOTHING):
            yield Cell(task, name, "turns", LARGER, BARE_BUDGET, seed, setting=setting)


def _cell(
    task: str, method: str, seed: int, model: str = SMALL, budget: int = BUDGET, variant: str | None = None
) -> Cell:
    return Cell(task, method, variant or METHODS[method].variants[0], model, budget, seed)
