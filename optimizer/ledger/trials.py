"""The trials' table: what the search tried, and how well it did."""

from __future__ import annotations

from collections.abc import Iterable


def best_so_far(standings: Iterable[tuple[int, float, int]]) -> int | None:
    """Return the number of the best trial; None where none has a score.

    Each trial is (number, mean score, examples seen). The best has the highest mean among those that saw at least half
    of what the longest saw: a few examples easily give a high score. Ties go to the lower number.
    """
    trials = list(standings)
    longest = max((seen for _, _, seen in trials), default=0)
    eligible = [(score, -number) for number, score, seen in trials if 2 * seen >= longest]
    return -max(eligible)[1] if eligible else None
