"""Cutting examples into train, validation and test: stratified, seeded, and without a leak between them.

Where `split` names a group or a time, `optimizer/task/grouped.py` says who is in which.
The order of a cut is that of a hash of the seed and each example's content, so that it does not depend
on the order of the file's lines, on Python's version or on a random generator's.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from optimizer.errors import TaskError
from optimizer.system.limits import shorten
from optimizer.task.grouped import cut_by_group, cut_by_time
from optimizer.task.keys import Key
from optimizer.task.repair import input_key
from optimizer.task.schema import FieldSpec, SplitSpec
from optimizer.task.text import Problems
from optimizer.types import Example, canonical_json, digest

SMALLEST = 2
FEW_VALUES = 20
PER_VALUE = 5
_EPSILON = 1e-9
_REMOVE = "Remove or change one of each pair: an input seen in training would flatter the test."

_NAMES = ("train", "validation", "test")
Examples = tuple[Example, ...]
Keyed = tuple[Example, Key]
Stratum = Callable[[Example], str]
KeyOf = Callable[[Example], Hashable]


@dataclass(frozen=True, slots=True)
class Splits:
    """The three splits, and what the user should know about how they came to be."""

    train: Examples
    validation: Examples
    test: Examples
    notes: tuple[str, ...] = ()


def make_splits(
    parts: Mapping[str, Sequence[Example]],
    spec: SplitSpec,
    outputs: Mapping[str, FieldSpec],
    label: str,
    keys: Mapping[str, Sequence[Key]] | None = None,
    problems: Problems | None = None,
) -> Splits:
    """Return the splits of `parts`: {'all'}, {'train', 'test'} or {'train', 'validation', 'test'}.

    One set is cut in three; a train set without a validation set is cut in two; three sets are kept as
    they are. `keys` are the groups or times that each part's examples are split by, if `spec` says so.
    Raises TaskError for `problems` that are known already, where a split would have under 2 examples, two splits
    share an input or a group, or one begins before the other ends.
    """
    notes: list[str] = []
    problems = Problems() if problems is None else problems
    key_of = _folded_once()
    add_twins(parts, problems, key_of)
    problems.refuse()
    keyed = {
        name: list(zip(part, (keys or {}).get(name, [""] * len(part)), strict=True)) for name, part in parts.items()
    }
    if "all" in parts:
        shares = (spec.train, spec.validation, spec.test)
        cuts = dict(zip(_NAMES, cut_keyed(keyed["all"], shares, spec, outputs, label, notes), strict=True))
    elif "validation" in parts:
        cuts = {name: keyed[name] for name in _NAMES}
    else:
        train = _without_copies(keyed["train"], notes, key_of)
        whole = spec.train + spec.validation
        train, validation = cut_keyed(train, (spec.train / whole, spec.validation / whole), spec, outputs, label, notes)
        notes.append(f"validation: {len(validation)} examples cut from train, which keeps {len(train)}")
        cuts = {"train": train, "validation": validation, "test": keyed["test"]}
    splits = {name: tuple(example for example, _ in pairs) for name, pairs in cuts.items()}
    _check_sizes(splits, sum(len(part) for part in parts.values()), spec, tuple(parts), label)
    if set(parts) == {"train", "test"}:  # contradicting copies in train, of which each may be in another split
        add_twins(splits, problems, key_of)
        problems.refuse()
    if keys is not None:
        _check_keys(cuts, spec)
    notes += _remarks(splits, outputs, "all" not in parts, key_of)
    return Splits(splits["train"], splits["validation"], splits["test"], tuple(notes))


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


def cut_keyed(
    pairs: Sequence[Keyed],
    shares: Sequence[float],
    spec: SplitSpec,
    outputs: Mapping[str, FieldSpec],
    label: str,
    notes: list[str],
) -> list[list[Keyed]]:
    """Return the pairs in as many parts as there are shares: train, validation, test, or the first two of them."""
    examples = [example for example, _ in pairs]
    stratum = stratum_of(examples, outputs)
    if spec.group is None and spec.time is None:
        rest, last = cut(examples, shares[-1], spec.seed, stratum)
        parts = [rest, last]
        if len(shares) == 3:
            parts = [*cut(rest, shares[1] / (shares[0] + shares[1]), spec.seed, stratum), last]
        return [[(example, "") for example in part] for part in parts]
    keys = [key for _, key in pairs]
    order = sorted(range(len(pairs)), key=lambda at: digest([spec.seed, examples[at].id]))
    if spec.time is not None:
        number_of = cut_by_time(keys, shares, f"{label}: split.time", spec.time)
    else:
        labels = [stratum(example) for example in examples]
        number_of = cut_by_group(keys, labels, shares, spec.seed, f"{label}: split.group", str(spec.group))
    split = [[pairs[at] for at in order if number_of[at] == number] for number in range(len(shares))]
    notes += _achieved(split, shares, spec)
    return split


def _achieved(split: Sequence[Sequence[Keyed]], shares: Sequence[float], spec: SplitSpec) -> list[str]:
    """Return a note of the shares where they are not those that were asked for, by more than one example."""
    total = sum(map(len, split))
    if all(abs(len(part) - total * share) <= 1 for part, share in zip(split, shares, strict=True)):
        return []
    key, what = ("group", "groups stay whole") if spec.group is not None else ("time", "equal times stay together")
    sizes = ", ".join(
        f"{name} {len(part)} of {total * share:.0f}" for name, part, share in zip(_NAMES, split, shares, strict=False)
    )
    return [f"split.{key}: {what}, so the splits have not quite their shares: {sizes}"]


def _check_keys(cuts: Mapping[str, Sequence[Keyed]], spec: SplitSpec) -> None:
    """Raise TaskError where a group is in two of the splits, or one has an earlier time than the one before."""
    first: dict[Key, tuple[str, Example]] = {}
    for name, pairs in cuts.items() if spec.group is not None else ():
        for example, key in pairs:
            other, member = first.setdefault(key, (name, example))
            if other != name:
                what = f"{member.origin} in {other} and {example.origin} in {name} have the same '{spec.group}'"
                raise TaskError(what, "Move all rows of a group into one file, or leave out split.group.")
    for one, two in itertools.pairwise(cuts) if spec.time is not None else ():
        latest = max(cuts[one], key=lambda pair: float(pair[1]))
        earliest = min(cuts[two], key=lambda pair: float(pair[1]))
        if float(latest[1]) > float(earliest[1]):
            what = f"{earliest[0].origin} in {two} has an earlier '{spec.time}' than {latest[0].origin} in {one}"
            raise TaskError(what, "Give one file as data.path to be split by time, or leave out split.time.")


def _rounded(number: float) -> int:
    return math.floor(number + 0.5 + _EPSILON)


def _folded_once() -> KeyOf:
    """Return what `input_key` says of examples that are held meanwhile, as a digest: long texts are folded once."""
    known: dict[int, bytes] = {}

    def key_of(example: Example) -> bytes:
        if (key := known.get(id(example))) is None:
            text = input_key(example).encode(errors="surrogatepass")
            key = known[id(example)] = hashlib.blake2b(text, digest_size=16).digest()
        return key

    return key_of


def add_twins(parts: Mapping[str, Sequence[Example]], problems: Problems, key_of: KeyOf = input_key) -> None:
    """Add to the problems each example of one set that has another's input, and each of a part that has one of another.

    Inputs are the same if they are after case, spaces and spelling variants are folded.
    """
    for other, twin, name, example in _same_inputs(parts, key_of):
        if other == name != "all":
            continue
        same = dict(twin.outputs) == dict(example.outputs)
        where = "" if name == "all" else f"; the first is in {other}, the second in {name}"
        pair = _Twins(f"{_pair(twin, example)}{where}", (twin.origin, example.origin))
        problems.add("", pair, _REMOVE, "drop_duplicates" if same else "drop_conflicting")


class _Twins:
    """Two examples with the same input: a problem that is like no other."""

    def __init__(self, pair: str, key: tuple[str, str]) -> None:
        self._pair, self.key = pair, key

    def __str__(self) -> str:
        return self._pair


def _same_inputs(splits: Mapping[str, Sequence[Example]], key_of: KeyOf) -> Iterator[tuple[str, Example, str, Example]]:
    """Yield (split, first example with an input, split, further example with it)."""
    first: dict[Hashable, tuple[str, Example]] = {}
    for name, examples in splits.items():
        for example in examples:
            if (known := first.get(key := key_of(example))) is not None:
                yield *known, name, example
            else:
                first[key] = name, example


def _pair(one: Example, two: Example) -> str:
    value = next(iter(two.inputs.values())) if len(two.inputs) == 1 else dict(two.inputs)
    same = "the same" if dict(one.outputs) == dict(two.outputs) else "different"
    return f"{one.origin} and {two.origin} have the same input {shorten(value)} with {same} outputs"


def _without_copies(train: Sequence[Keyed], notes: list[str], key_of: KeyOf) -> list[Keyed]:
    distinct = {(key_of(pair[0]), canonical_json(dict(pair[0].outputs))): pair for pair in reversed(train)}
    if dropped := len(train) - len(distinct):
        notes.append(f"train: {dropped} exact copies dropped, so that none could land in validation")
    return list(reversed(distinct.values()))


def _check_sizes(
    splits: Mapping[str, Examples], total: int, spec: SplitSpec, parts: tuple[str, ...], label: str
) -> None:
    if min(len(examples) for examples in splits.values()) >= SMALLEST:
        return
    sizes = ", ".join(f"{name} {len(examples)}" for name, examples in splits.items())
    if spec.group is not None or spec.time is not None:
        key = "group" if spec.group is not None else "time"
        remedy = f"Name a column with more values, and fewer rows of each, under split.{key}; or leave it out."
    elif parts == ("all",):
        needed = math.ceil(SMALLEST / min(spec.train, spec.validation, spec.test) - _EPSILON)
        remedy = f"Give at least {needed} examples, or more even shares under 'split'."
    else:
        remedy = "Add examples to the short one, or give one file as data.path to be split."
    raise TaskError(f"{label}: {total} examples give {sizes}; each needs at least {SMALLEST}", remedy)


def _remarks(
    splits: Mapping[str, Examples], outputs: Mapping[str, FieldSpec], may_repeat: bool, key_of: KeyOf
) -> list[str]:
    remarks = []
    for name, examples in splits.items():
        copies = len(examples) - len(set(map(key_of, examples))) if may_repeat else 0
        if copies:
            remarks.append(f"{name}: {copies} examples repeat another's input")
        for field, spec in outputs.items():
            there = {example.outputs[field] for example in examples} if spec.choices else set()
            absent = [choice for choice in spec.choices or () if choice not in there]
            if absent:
                remarks.append(f"{name}: no example of {field} = {', '.join(absent)}")
    return remarks
