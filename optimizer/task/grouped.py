"""Which split an example is in where groups stay whole, or where time decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise

from optimizer.errors import TaskError
from optimizer.task.keys import Key
from optimizer.types import digest

# Rounds in which groups change their split while that brings the splits nearer to their shares.
ROUNDS = 20
# Pairs of groups that are tried for an exchange in a round, at most.
MOST_PAIRS = 5_000


def cut_by_group(
    groups: Sequence[Key], labels: Sequence[str], shares: Sequence[float], seed: int, label: str, column: str
) -> list[int]:
    """Return the number of the split of each example: examples of a group have the same.

    The largest groups are dealt out first, each to where it is missed most; then groups move or change places while
    that helps. What counts is how far each split is from its share of the examples, and of each label's. The order
    of examples does not matter; the seed settles ties. Raises TaskError where there are fewer groups than shares.
    """
    names = sorted(set(groups), key=str)
    if len(names) < len(shares):
        what = f"{label}: '{column}' has {len(names)} different values, and {len(shares)} splits are to be cut"
        raise TaskError(what, "Name a column with more groups, or leave it out.")
    members: dict[Key, Counter[str]] = {name: Counter() for name in names}
    for name, stratum in zip(groups, labels, strict=True):
        members[name][stratum] += 1
    names.sort(key=lambda name: (-members[name].total(), digest([seed, name])))
    dealt = _Dealt(members, shares)
    for name in names:
        dealt.put(name, min(range(len(shares)), key=lambda number: (dealt.cost(name, number), number)))
    dealt.fill(names)
    for _ in range(ROUNDS):
        if not dealt.moved(names) and not dealt.swapped(names):
            break
    return [dealt.number_of[name] for name in groups]


def cut_by_time(times: Sequence[Key], shares: Sequence[float], label: str, column: str) -> list[int]:
    """Return the number of the split of each example: the earliest are in the first, equal times in the same.

    The borders are those between two times that are nearest to the shares. Raises TaskError where there are fewer
    different times than shares.
    """
    counts = sorted(Counter(times).items(), key=lambda pair: pair[0])
    if len(counts) < len(shares):
        what = f"{label}: '{column}' has {len(counts)} different times, and {len(shares)} splits are to be cut"
        raise TaskError(what, "Name a column with more times, or leave it out.")
    before = [0, *accumulate(count for _, count in counts)]  # examples before each time, and all of them
    ideal = [len(times) * share for share in accumulate(shares[:-1])]
    # The least sum of distances by dynamic programming: border k after the one before, and before what comes later.
    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for number, wish in enumerate(ideal):
        candidates = range(number + 1, len(counts) - (len(ideal) - 1 - number))
        ends: list[tuple[float, tuple[int, ...]]] = []
        least: tuple[float, tuple[int, ...]] | None = None
        waiting = iter(best)
        for at in candidates:
            least = min(filter(None, (least, next(waiting, None))), key=lambda end: end[0])
            ends.append((least[0] + abs(before[at] - wish), (*least[1], at)))
        best = ends
    borders = min(best, key=lambda end: end[0])[1]
    spans = pairwise((0, *borders, len(counts)))
    number_of = {counts[at][0]: number for number, span in enumerate(spans) for at in range(*span)}
    return [number_of[time] for time in times]


class _Dealt:
    """Groups in splits, and how far the splits are from their shares: in all, and by label."""

    def __init__(self, members: dict[Key, Counter[str]], shares: Sequence[float]) -> None:
        self._members = members
        whole = sum(members.values(), Counter[str]())
        self.number_of: dict[Key, int] = {}
        self._groups = [0] * len(shares)
        # What each split lacks of its share; negative where it has more.
        self._lacks = [whole.total() * share for share in shares]
        self._lacks_of = [{stratum: count * share for stratum, count in whole.items()} for share in shares]
        # In all, the size weighs as much as the labels together.
        self._weight = max(1, len(whole))

    def cost(self, name: Key, number: int) -> float:
        """Return what the sum of squared distances grows by if a group comes into a split."""
        counts, size = self._members[name], self._members[name].total()
        lacks = self._lacks_of[number]
        of_labels = sum(count * (count - 2 * lacks[stratum]) for stratum, count in counts.items())
        return self._weight * size * (size - 2 * self._lacks[number]) + of_labels

    def put(self, name: Key, number: int) -> None:
        """Put a group that is in no split into one."""
        self._change(name, number, 1)
        self.number_of[name] = number

    def take(self, name: Key) -> int:
        """Take a group out of its split, and return the split's number."""
        number = self.number_of.pop(name)
        self._change(name, number, -1)
        return number

    def fill(self, names: Sequence[Key]) -> None:
        """Give each split without a group the smallest one of the split that has most."""
        for number in range(len(self._groups)):
            if not self._groups[number]:
                largest = max(range(len(self._groups)), key=self._groups.__getitem__)
                smallest = next(name for name in reversed(names) if self.number_of[name] == largest)
                self.take(smallest)
                self.put(smallest, number)

    def moved(self, names: Sequence[Key]) -> bool:
        """Move each group to where it serves best, and return whether any has moved."""
        any_moved = False
        for name in names:
            was = self.number_of[name]
            if self._groups[was] == 1:
                continue
            self.take(name)
            costs = [self.cost(name, number) for number in range(len(self._groups))]
            best = min(range(len(costs)), key=costs.__getitem__)
            best = best if costs[best] < costs[was] - 1e-6 else was
            self.put(name, best)
            any_moved = any_moved or best != was
        return any_moved

    def swapped(self, names: Sequence[Key]) -> bool:
        """Let pairs of groups change places where that helps, and return whether any has."""
        any_swapped, tried = False, 0
        for at, name in enumerate(names):
            for other in names[at + 1 :]:
                if (tried := tried + 1) > MOST_PAIRS:
                    return any_swapped
                any_swapped = self._swap(name, other) or any_swapped
        return any_swapped

    def _swap(self, name: Key, other: Key) -> bool:
        if self.number_of[name] == self.number_of[other]:
            return False
        one, two = self.take(name), self.take(other)
        stay = self.cost(name, one) + self.cost(other, two)
        change = self.cost(name, two) + self.cost(other, one)
        better = change < stay - 1e-6
        self.put(name, two if better else one)
        self.put(other, one if better else two)
        return better

    def _change(self, name: Key, number: int, sign: int) -> None:
        counts = self._members[name]
        self._groups[number] += sign
        self._lacks[number] -= sign * counts.total()
        lacks = self._lacks_of[number]
        for stratum, count in counts.items():
            lacks[stratum] -= sign * count
