"""Folds for small data: each example is tested once, by a search that has seen none of its fold.

Cross-validation judges a procedure, not a prompt: each fold has a winner of its own (Stone 1974,
doi:10.1111/j.2517-6161.1974.tb00994.x).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optimizer.errors import TaskError
from optimizer.task.grouped import cut_by_group, cut_by_time
from optimizer.task.keys import Key
from optimizer.task.schema import FieldSpec, SplitSpec
from optimizer.task.split import SMALLEST, Keyed, Splits, add_twins, cut_keyed, stratum_of
from optimizer.task.text import Problems
from optimizer.types import Example, digest


def make_folds(
    examples: Sequence[Example],
    spec: SplitSpec,
    outputs: Mapping[str, FieldSpec],
    count: int,
    label: str,
    keys: Sequence[Key] | None = None,
) -> list[Splits]:
    """Return the splits of each fold: its own examples to test, and of those it may see some to train and to validate.

    Without `keys` and by group every fold sees all the others; the folds have equally many examples of each stratum to
    within one, and groups stay whole. By time a fold sees only what came before it, so the earliest fold is never
    tested, and there is one fold less. Shares and seed are those of `spec`; the order of the examples does not matter.
    Raises TaskError where two examples have the same input, or a split would have under 2 examples.
    """
    problems = Problems()
    add_twins({"all": examples}, problems)
    problems.refuse()
    pairs: list[Keyed] = list(zip(examples, keys or [""] * len(examples), strict=True))
    number_of = _numbers(pairs, spec, outputs, count, label)
    whole = spec.train + spec.validation
    folds = []
    for number in range(1 if spec.time is not None else 0, count):
        own = [pair for pair, other in zip(pairs, number_of, strict=True) if other == number]
        seen = [
            pair
            for pair, other in zip(pairs, number_of, strict=True)
            if (other < number if spec.time is not None else other != number)
        ]
        notes: list[str] = []
        shares = (spec.train / whole, spec.validation / whole)
        train, validation = cut_keyed(seen, shares, spec, outputs, f"{label}: fold {number + 1}", notes)
        test = sorted(own, key=lambda pair: digest([spec.seed, pair[0].id]))
        sizes = {"train": len(train), "validation": len(validation), "test": len(test)}
        if min(sizes.values()) < SMALLEST:
            what = ", ".join(f"{name} {size}" for name, size in sizes.items())
            raise TaskError(
                f"{label}: fold {number + 1} of {count} has {what} examples; each needs at least {SMALLEST}",
                "Give more examples, or fewer folds.",
            )
        folds.append(Splits(_bare(train), _bare(validation), _bare(test), tuple(notes)))
    return folds


def all_of(
    folds: Sequence[Splits],
    examples: Sequence[Example],
    spec: SplitSpec,
    outputs: Mapping[str, FieldSpec],
    label: str,
    keys: Sequence[Key] | None = None,
) -> Splits:
    """Return the splits of the search on all data: all are to train or to validate; the test has all folds' tests."""
    pairs = list(zip(examples, keys or [""] * len(examples), strict=True))
    whole = spec.train + spec.validation
    notes: list[str] = []
    shares = (spec.train / whole, spec.validation / whole)
    train, validation = cut_keyed(pairs, shares, spec, outputs, label, notes)
    return Splits(_bare(train), _bare(validation), tuple(one for fold in folds for one in fold.test), tuple(notes))


def _bare(pairs: Sequence[Keyed]) -> tuple[Example, ...]:
    return tuple(example for example, _ in pairs)


def _numbers(
    pairs: Sequence[Keyed], spec: SplitSpec, outputs: Mapping[str, FieldSpec], count: int, label: str
) -> list[int]:
    """Return the number of the fold of each example."""
    keys, shares = [key for _, key in pairs], [1 / count] * count
    if spec.time is not None:
        return cut_by_time(keys, shares, f"{label}: split.time", spec.time)
    examples = [example for example, _ in pairs]
    stratum = stratum_of(examples, outputs)
    if spec.group is not None:
        labels = [stratum(example) for example in examples]
        return cut_by_group(keys, labels, shares, spec.seed, f"{label}: split.group", spec.group)
    # Dealt out in turn, one stratum after the other: each fold has its share of each, and of all, to within one.
    order = sorted(range(len(pairs)), key=lambda at: (stratum(examples[at]), digest([spec.seed, examples[at].id])))
    number_of = [0] * len(pairs)
    for turn, at in enumerate(order):
        number_of[at] = turn % count
    return number_of
