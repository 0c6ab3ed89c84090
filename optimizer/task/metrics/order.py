"""list_order: how much of a list's order an answer keeps."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from itertools import pairwise
from typing import Any

from optimizer.task.schema import FieldSpec
from optimizer.task.text import fold


def list_order(spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score the F1 of the items, times Kendall's tau-b of the shared ones brought from [-1, 1] to [0, 1].

    An item that is there twice counts twice, its first mention for its first. M. G. Kendall, The treatment of ties in
    ranking problems, Biometrika 33 (1945).
    """
    wanted, answered = folded_list(expected), folded_list(seen)
    if not wanted and not answered:
        return 1.0, ""
    positions, missing, extra = _matched(wanted, answered)
    shared = len(positions)
    score = 2 * shared / (len(wanted) + len(answered)) * (1 + kendall_tau(positions)) / 2
    named = {"missing": missing, "too many": extra, "too early": _too_early(wanted, positions)}
    return score, "; ".join(f"{what}: {', '.join(items)}" for what, items in named.items() if items)


def folded_list(value: Any) -> list[str]:
    """Return the items of a list, or of a text with commas or lines, without empty ones; case does not count."""
    items = value if isinstance(value, list) else str(value).replace("\n", ",").split(",")
    return [folded for item in items if (folded := fold(str(item)))]


def kendall_tau(positions: list[int]) -> float:
    """Return Kendall's tau of distinct numbers with their own order, in [-1, 1]: without ties tau-b is tau-a.

    Of fewer than two numbers it is 1: there is no order that could be lost.
    """
    pairs = len(positions) * (len(positions) - 1) / 2
    return 1 - 2 * _inversions(positions) / pairs if pairs else 1.0


def _inversions(positions: list[int]) -> int:
    """Return the number of pairs of which the greater one comes first."""
    ordered: list[int] = []
    count = 0
    for position in positions:
        at = bisect_left(ordered, position)
        count += len(ordered) - at
        ordered.insert(at, position)
    return count


def _matched(wanted: list[str], answered: list[str]) -> tuple[list[int], list[str], list[str]]:
    """Return (the expected index of each answered item, in order; the items missing; those too many)."""
    waiting: defaultdict[str, deque[int]] = defaultdict(deque)
    for index, item in enumerate(wanted):
        waiting[item].append(index)
    positions, extra = [], []
    for item in answered:
        if waiting[item]:
            positions.append(waiting[item].popleft())
        else:
            extra.append(item)
    missing = [wanted[index] for index in sorted(index for left in waiting.values() for index in left)]
    return positions, missing, extra


def _too_early(wanted: list[str], positions: list[int]) -> list[str]:
    """Return the items after which one comes that should come before them."""
    return [wanted[one] for one, two in pairwise(positions) if one > two]
