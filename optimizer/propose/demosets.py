"""Static demo sets: random, balanced over the labels, each a prefix of a longer one."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from optimizer.types import Example, canonical_json


def balanced_sets(examples: Sequence[Example], sets: int, size: int, seed: int) -> tuple[tuple[Example, ...], ...]:
    """Return `sets` orderings of `size` examples, the labels taking turns.

    A set of k demos is the first k of one: sets of different sizes share a prefix,
    which the model's cache reuses and which makes them comparable.
    """
    return tuple(_one(examples, size, random.Random(f"{seed}:{number}")) for number in range(sets))  # noqa: S311


def _one(examples: Sequence[Example], size: int, rng: random.Random) -> tuple[Example, ...]:
    by_label: dict[str, list[Example]] = defaultdict(list)
    for example in rng.sample(list(examples), len(examples)):
        by_label[canonical_json(dict(example.outputs))].append(example)
    groups = list(by_label.values())
    rng.shuffle(groups)
    drawn: list[Example] = []
    while len(drawn) < min(size, len(examples)):
        for group in groups:
            if group and len(drawn) < size:
                drawn.append(group.pop())
    return tuple(drawn)
