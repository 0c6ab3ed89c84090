"""Cutting examples into train, validation and test: stratified, seeded, and without a leak between them.

The order of a cut is that of a hash of the seed and each example's content, so that it does not depend
on the order of the file's lines, on Python's version or on a random generator's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from optimizer.errors import TaskError
from optimizer.system.limits import shorten
from optimizer.task.schema import FieldSpec, SplitSpec
from optimizer.task.text import fold_all, refuse
from optimizer.types import Example, canonical_json, digest

SMALLEST = 2
FEW_VALUES = 20
PER_VALUE = 5
_EPSILON = 1e-9
_REMOVE = "Remove or change one of each pair: an input seen in training would flatter the test."

Examples = tuple[Example, ...]
Stratum = Callable[[Example], str]


@dataclass(frozen=True, slots=True)
class Splits:
    """The three splits, and what the user should know about how they came to be."""

    train: Examples
    validation: Examples
    test: Examples
    notes: tuple[str, ...] = ()


def make_splits(
    parts: Mapping[str, Sequence[Example]], spec: SplitSpec, outputs: Mapping[str, FieldSpec], label: str
) -> Splits:
    """Return the splits of `parts`: {'all'}, {'train', 'test'} or {'train', 'validation', 'test'}.

    One set is cut in three; a train set without a validation set is cut in two; three sets are kept as
    they are. Raises TaskError where a split would have under 2 examples, or two splits share an input.
    """
    notes: list[str] = []
    if "all" in parts:
        pool = tuple(parts["all"])
        refuse([_pair(twin, example) for _, twin, _, example in _same_inputs({"all": pool})], _REMOVE)
        train, validation, test = _three(pool, spec, stratum_of(pool, outputs))
    else:
        train, test = tuple(parts["train"]), tuple(parts["test"])
        if "validation" in parts:
            validation = tuple(parts["validation"])
        else:
            train = _without_copies(train, notes)
            share = spec.validation / (spec.train + spec.validation)
            train, validation = cut(train, share, spec.seed, stratum_of(train, outputs))
            notes.append(f"validation: {len(validation)} examples cut from train, which keeps {len(train)}")
    splits = {"train": train, "validation": validation, "test": test}
    _check_sizes(splits, sum(len(part) for part in parts.values()), spec, tuple(parts), label)
    shared = [
        f"{_pair(twin, example)}; the first is in {other}, the second in {name}"
        for other, twin, name, example in _same_inputs(splits)
        if other != name
    ]
    refuse(shared, _REMOVE)
    return Splits(train, validation, test, (*notes, *_remarks(splits, outputs)))


def stratum_of(examples: Sequence[Example], outputs: Mapping[str, FieldSpec]) -> Stratum:
    """Return what to stratify by: the one label, or the outputs if they have few values, or nothing."""
    labels = [name for name, spec in outputs.items() if spec.choices is not None]
    if len(labels) == 1:
        return lambda example: str(example.outputs[labels[0]])
    distinct = len({canonical_json(dict(example.outputs)) for example in examples})
    if distinct <= FEW_VALUES and distinct * PER_VALUE <= len(examples):
        return lambda example: canonical_json(dict(example.outputs))
    return lambda example: ""


def cut(examples: Sequence[Example], share: float, seed: int, stratum: Stratum) -> tuple[Examples, Examples]:
    """Return (what stays, what is cut): `share` of the examples, and of each stratum to within one."""
    shuffled = sorted(examples, key=lambda example: digest([seed, example.id]))
    groups: dict[str, list[int]] = {}
    for position, example in enumerate(shuffled):
        groups.setdefault(stratum(example), []).append(position)
    takes = {key: math.floor(len(group) * share + _EPSILON) for key, group in groups.items()}
    missing = _rounded(len(examples) * share) - sum(takes.values())
    # The strata that rounding down robbed most give one more each; the hash settles the ties.
    robbed = sorted(groups, key=lambda key: (takes[key] - len(groups[key]) * share, digest([seed, key])))
    for key in robbed[: max(missing, 0)]:
        takes[key] += 1
    gone = {position for key, group in groups.items() for position in group[: takes[key]]}
    stays = tuple(example for position, example in enumerate(shuffled) if position not in gone)
    return stays, tuple(example for position, example in enumerate(shuffled) if position in gone)


def interleaved(examples: Sequence[Example], seed: int, stratum: Stratum) -> list[Example]:
    """Return the examples in an order by the seed whose every beginning holds its share of each stratum, nearly.

    The members of a stratum are evenly spaced, from a first position drawn by the seed: systematic sampling in
    proportion (Cochran 1977, Sampling Techniques, chapter 8). Without strata it is a shuffle.
    """
    groups: dict[str, list[Example]] = {}
    for example in sorted(examples, key=lambda example: digest([seed, example.id])):
        groups.setdefault(stratum(example), []).append(example)
    placed = []
    for key, group in groups.items():
        first = int(digest([seed, key]), 16) / 16**16
        placed += [((first + turn) / len(group), example) for turn, example in enumerate(group)]
    return [example for _, example in sorted(placed, key=lambda pair: pair[0])]


def _three(pool: Examples, spec: SplitSpec, stratum: Stratum) -> tuple[Examples, Examples, Examples]:
    rest, test = cut(pool, spec.test, spec.seed, stratum)
    train, validation = cut(rest, spec.validation / (spec.train + spec.validation), spec.seed, stratum)
    return train, validation, test


def _rounded(number: float) -> int:
    return math.floor(number + 0.5 + _EPSILON)


def _input_key(example: Example) -> str:
    return canonical_json(fold_all(dict(example.inputs)))


def _same_inputs(splits: Mapping[str, Examples]) -> Iterator[tuple[str, Example, str, Example]]:
    """Yield (split, first example with an input, split, further example with it)."""
    first: dict[str, tuple[str, Example]] = {}
    for name, examples in splits.items():
        for example in examples:
            if (known := first.get(key := _input_key(example))) is not None:
                yield *known, name, example
            else:
                first[key] = name, example


def _pair(one: Example, two: Example) -> str:
    value = next(iter(two.inputs.values())) if len(two.inputs) == 1 else dict(two.inputs)
    same = "the same" if dict(one.outputs) == dict(two.outputs) else "different"
    return f"{one.origin} and {two.origin} have the same input {shorten(value)} with {same} outputs"


def _without_copies(train: Examples, notes: list[str]) -> Examples:
    distinct = {(_input_key(e), canonical_json(dict(e.outputs))): e for e in reversed(train)}
    if dropped := len(train) - len(distinct):
        notes.append(f"train: {dropped} exact copies dropped, so that none could land in validation")
    return tuple(reversed(distinct.values()))


def _check_sizes(
    splits: Mapping[str, Examples], total: int, spec: SplitSpec, parts: tuple[str, ...], label: str
) -> None:
    if min(len(examples) for examples in splits.values()) >= SMALLEST:
        return
    sizes = ", ".join(f"{name} {len(examples)}" for name, examples in splits.items())
    if parts == ("all",):
        needed = math.ceil(SMALLEST / min(spec.train, spec.validation, spec.test) - _EPSILON)
        remedy = f"Give at least {needed} examples, or more even shares under 'split'."
    else:
        remedy = "Add examples to the short one, or give one file as data.path to be split."
    raise TaskError(f"{label}: {total} examples give {sizes}; each needs at least {SMALLEST}", remedy)


def _remarks(splits: Mapping[str, Examples], outputs: Mapping[str, FieldSpec]) -> list[str]:
    remarks = []
    for name, examples in splits.items():
        copies = len(examples) - len({_input_key(example) for example in examples})
        if copies:
            remarks.append(f"{name}: {copies} examples repeat another's input")
        for field, spec in outputs.items():
            there = {example.outputs[field] for example in examples} if spec.choices else set()
            absent = [choice for choice in spec.choices or () if choice not in there]
            if absent:
                remarks.append(f"{name}: no example of {field} = {', '.join(absent)}")
    return remarks
