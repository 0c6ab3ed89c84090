"""What the field says of the goals that metier set itself, in sentences for the README."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from experiments.field.entries import Entry, paired, peers
from experiments.field.methods import BUDGET, FRACTIONS, SEEDS
from optimizer.evaluate.statistics import mean

SHIPPED_LEAD, FORMAT_LEAD = 10, 3
# Of the calls, those after which ours is looked at.
PARTS = (*(calls / BUDGET for calls in FRACTIONS), 1.0)


def bars(
    rows: Sequence[Entry], early: Sequence[dict[str, float]], tasks: Sequence[str], seeds: Sequence[int] = SEEDS
) -> str:
    """Return a list of sentences; `early` holds ours by task after each of PARTS of the calls."""
    ours = next(row for row in rows if row.method == "ours")
    if not ours.complete(tasks, seeds):
        return ""
    rivals = peers(rows, tasks, seeds)
    groups = (
        ("as shipped", SHIPPED_LEAD, [row for row in rivals if row.variant == "shipped"]),
        ("given our format", FORMAT_LEAD, [row for row in rivals if row.variant == "turns"]),
    )
    out = [_lead(ours, name, wanted, group, tasks) for name, wanted, group in groups if group]
    out.append(above(rows, tasks))
    out += [_sooner(name, group, early, tasks) for name, _, group in groups if group]
    return "Of the goals, as far as cells were played:\n\n" + "\n".join(f"- {text}" for text in out if text) + "\n"


def _lead(ours: Entry, name: str, wanted: int, group: Sequence[Entry], tasks: Sequence[str]) -> str:
    best = max(group, key=lambda row: row.overall(tasks))
    mine, theirs = 100 * ours.overall(tasks), 100 * best.overall(tasks)
    told = f"{mine - theirs:+.1f} points (at least {wanted:+d} is the goal)"
    among = f"{best.name}, of {len(group)} with every cell"
    return f"Mean over the tasks: metier {mine:.1f}, the best peer {name} {theirs:.1f} ({among}): {told}."


def above(rows: Sequence[Entry], tasks: Sequence[str]) -> str:
    """Return a sentence that names whoever is significantly above ours on a task."""
    ours, found = next(row for row in rows if row.method == "ours"), []
    for row in rows:
        for task in tasks:
            gap = paired(ours, row, task)
            if gap is not None and gap.high < 0:
                found.append(f"{row.name} on {task}")
    return f"Significantly above metier: {', '.join(found) or 'none on any task'} (none is the goal)."


def _sooner(name: str, group: Sequence[Entry], early: Sequence[dict[str, float]], tasks: Sequence[str]) -> str:
    """Return how large a part of the calls ours needs to reach the best of a group on the median task.

    Each task has its own best. A part that was not played on every task is passed over, so what is told is never too
    little; of an even number of tasks both middle ones are told.
    """
    played = {part: scores for part, scores in zip(PARTS, early, strict=True) if all(task in scores for task in tasks)}
    if min(PARTS) not in played:
        return ""
    needed = []
    for task in tasks:
        best = max(mean(row.scores(task)) for row in group)
        needed.append(min((part for part, scores in played.items() if scores[task] >= best), default=math.inf))
    told = ", ".join(f"{task} {part:g}" for task, part in zip(tasks, needed, strict=True))
    middle = sorted({statistics.median_low(needed), statistics.median_high(needed)})
    median = " to ".join(f"{part:g}" for part in middle)
    goal = f"the score of each task's best peer {name}"
    return f"Part of the calls that metier needs for {goal}: {told}; median {median} (goal: 0.25)."
