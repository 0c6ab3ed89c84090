"""Static demo sets: balanced over the labels to begin with; later drawn otherwise, and evolved."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from optimizer.prompt.demos import Embed, text_of
from optimizer.propose.base import Attempt, Proposal, Subject
from optimizer.types import Example, canonical_json

DRAWN_FROM = 200
Draw = Callable[[random.Random], Sequence[Example]]


def balanced_sets(
    examples: Sequence[Example], sets: int, counts: Sequence[int], seed: int
) -> tuple[tuple[Example, ...], ...]:
    """Return `sets` orderings of as many examples as the largest of the `counts`; the labels are balanced at each.

    A set of k demos is the first k of one: sets of different sizes share a prefix,
    which the model's cache reuses and which makes them comparable. Between one count and the next the order is
    random: a small model goes on with a pattern in the labels, such as their turns (experiments/replay/TRIED.md).
    """
    draws = [random.Random(f"{seed}:{number}") for number in range(sets)]  # noqa: S311
    return tuple(tuple(_without_turns(_in_turns(examples, max(counts), rng), counts, rng)) for rng in draws)


class Shuffled:
    """Draws examples by chance alone; in a long search luck finds good company."""

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` sets."""
        return _sets(subject, count, "random", lambda rng: rng.sample(list(subject.examples), len(subject.examples)))


class Bootstrap:
    """Shows what the parent itself answered right, in its own words (BootstrapFewShot; DSPy, arXiv:2310.03714)."""

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most one set: the parent's own answers that scored 1 first, then examples as they are."""
        right = [attempt for attempt in await _attempts(subject, count) if attempt.score >= 1]
        own = [Example(one.example.inputs, dict(one.answer), one.example.origin) for one in right]
        return _led(subject, "bootstrap", own, right)


class Hard:
    """Puts first what the parent got wrong, with the right answer: cases near the border."""

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most one set."""
        wrong = [attempt for attempt in await _attempts(subject, count) if attempt.score < 1]
        return _led(subject, "hard", [attempt.example for attempt in wrong], wrong)


class Diverse:
    """Draws examples that lie far apart in meaning: k-centre (Gonzalez 1985, doi:10.1016/0304-3975(85)90224-5)."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` sets, each from a starting point of its own."""
        return _sets(subject, count, "diverse", lambda rng: self._spread(subject, rng))

    def _spread(self, subject: Subject, rng: random.Random) -> list[Example]:
        some = rng.sample(list(subject.examples), min(DRAWN_FROM, len(subject.examples)))
        if not some:
            return []
        vectors = np.asarray(self._embed([text_of(example.inputs) for example in some]), dtype=float)
        chosen, likeness = [0], np.full(len(some), -np.inf)
        while len(chosen) < min(subject.demos, len(some)):
            likeness = np.maximum(likeness, (vectors @ vectors[chosen[-1]]).round(6))
            likeness[chosen] = np.inf
            chosen.append(int(np.argmin(likeness)))
        return [some[index] for index in chosen]


class Swap:
    """Evolves the parent's set: one demo gives way to another example, or two change places."""

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` sets; none for a parent without a set."""
        if not subject.parents or not subject.parents[0].prompt.demos:
            return []
        shown = subject.parents[0].prompt.demos
        ids = {demo.id for demo in shown}
        others = [example for example in subject.examples if example.id not in ids]
        return _sets(subject, count, "swap", lambda rng: _swapped(list(shown), others, rng), subject.lineage[:1])


def _swapped(shown: list[Example], others: list[Example], rng: random.Random) -> list[Example]:
    """Return the set with one change, and examples behind it that fill up a longer one."""
    rest = rng.sample(others, len(others))
    if rest and (len(shown) < 2 or rng.random() < 2 / 3):
        shown[rng.randrange(len(shown))] = rest.pop()
    elif len(shown) > 1:
        first, second = rng.sample(range(len(shown)), 2)
        shown[first], shown[second] = shown[second], shown[first]
    return shown + rest


async def _attempts(subject: Subject, count: int) -> Sequence[Attempt]:
    """Return what the first parent answers; nothing where there is none, or no set is wanted."""
    return await subject.attempts(subject.parents[0]) if subject.parents and count else ()


def _led(subject: Subject, origin: str, leading: list[Example], attempts: Sequence[Attempt]) -> list[Proposal]:
    """Return one set that begins with the `leading` examples and goes on with others, the labels taking turns.

    The others are those that none of the `attempts` is about.
    """
    if not leading:
        return []
    ids = {attempt.example.id for attempt in attempts}
    rest = [example for example in subject.examples if example.id not in ids]
    return _sets(subject, 1, origin, lambda rng: leading + _in_turns(rest, subject.demos, rng), subject.lineage[:1])


def _sets(subject: Subject, count: int, origin: str, draw: Draw, parents: tuple[str, ...] = ()) -> list[Proposal]:
    """Return up to `count` different sets of `subject.demos` examples, each drawn with a seed of its own."""
    sets: dict[tuple[str, ...], Proposal] = {}
    for number in range(count):
        rng = random.Random(f"{origin}:{subject.serial}:{number}")  # noqa: S311
        drawn = tuple(draw(rng)[: subject.demos])
        if len(drawn) == subject.demos and drawn:
            sets.setdefault(tuple(demo.id for demo in drawn), Proposal("", origin, parents, drawn))
    return list(sets.values())


def _without_turns(examples: Sequence[Example], counts: Sequence[int], rng: random.Random) -> list[Example]:
    """Return examples in a random order between each of the counts and the next."""
    ends = sorted({0, *counts})
    parts = [examples[start:end] for start, end in itertools.pairwise(ends)]
    return [example for part in parts for example in rng.sample(part, len(part))]


def _in_turns(examples: Sequence[Example], size: int, rng: random.Random) -> list[Example]:
    """Return `size` examples drawn by chance, the labels taking turns; all, where there are fewer."""
    by_label: dict[str, list[Example]] = defaultdict(list)
    for example in rng.sample(list(examples), len(examples)):
        by_label[canonical_json(dict(example.outputs))].append(example)
    groups = list(by_label.values())
    rng.shuffle(groups)
    turns = itertools.zip_longest(*(reversed(group) for group in groups))
    return [example for turn in turns for example in turn if example is not None][:size]
