"""The field's tables as Markdown, each made of rows (`entries.py`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from experiments.field.entries import Entry, Paired, paired
from optimizer.evaluate.statistics import interval, mean

NOT_RUN = "not run"


def table(rows: Sequence[Entry], tasks: Sequence[str], seeds: Sequence[int]) -> str:
    """Return the scores with 95 % intervals, means and mean ranks, the best of each task in bold.

    Rows of which nothing was played are named below it, and the commits that metier's cells are of.
    """
    shown, ranks = [row for row in rows if row.lines], mean_ranks(rows, tasks, seeds)
    best = {task: max((mean(row.scores(task)) for row in rows if row.scores(task)), default=2.0) for task in tasks}
    out = _head(["method", *tasks, "mean", "mean rank", "calls", "refused", "s a cell"])
    for row in sorted(shown, key=lambda one: -one.overall(tasks)):
        overall = f"{100 * row.overall(tasks):.1f}" if row.complete(tasks, seeds) else "–"
        rank = ranks.get(row.name)
        taken = [_taken(row, "calls"), _refused(row), _taken(row, "seconds")]
        tail = [overall, "–" if rank is None else f"{rank:.1f}", *taken]
        out.append(_line([row.name, *(_cell(row, task, seeds, best[task]) for task in tasks), *tail]))
    left = ", ".join(row.name for row in rows if not row.lines)
    told = ([f"Not run: {left}."] if left else []) + commits(rows)
    return "\n".join([*out, *(["", " ".join(told)] if told else [])]) + "\n"


def commits(rows: Sequence[Entry]) -> list[str]:
    """Return a sentence that tells which commits metier's own cells are of, if there are any."""
    mine = [line for row in rows if row.method == "ours" for line in row.lines.values()]
    found = sorted({line["versions"]["metier"] for line in mine if "versions" in line})
    return [f"metier's cells are of {', '.join(found)}."] if found else []


def mean_ranks(rows: Sequence[Entry], tasks: Sequence[str], seeds: Sequence[int]) -> dict[str, float]:
    """Return each method's mean rank over (task, seed), ties shared; only of rows with every cell played.

    The rank is among those rows alone. A cell that failed ranks last.
    """
    places = [(task, seed) for task in tasks for seed in seeds]
    whole = [row for row in rows if all(row.value(*place) is not None for place in places)]
    found: dict[str, list[float]] = {row.name: [] for row in whole}
    for place in places:
        values = {row.name: row.value(*place) or 0.0 for row in whole}
        for name, mine in values.items():
            above = sum(value > mine for value in values.values())
            found[name].append(above + (sum(value == mine for value in values.values()) + 1) / 2)
    return {name: mean(ranks) for name, ranks in found.items()}


def against(rows: Sequence[Entry], tasks: Sequence[str]) -> str:
    """Return ours minus each other row on the same test examples, with 95 % intervals, and the mean over the tasks.

    Tasks share no examples, so the squares of their intervals' halves add up in that of the mean.
    """
    ours = next(row for row in rows if row.method == "ours")
    filled = []
    for row in rows:
        found = [paired(ours, row, task) for task in tasks]
        if row is not ours and any(found):
            filled.append(_line([row.name, *map(_difference, found), _difference(_overall(found))]))
    head = ["Points of metier over each, paired on the same test examples (95 % interval):\n"]
    return "\n".join([*head, *_head(["method", *tasks, "mean"]), *filled]) + "\n" if filled else ""


def calls_needed(early: Mapping[int, Mapping[str, float]], rivals: Sequence[Entry], tasks: Sequence[str]) -> str:
    """Return ours after fewer calls beside the best peer after all of them; `early` is ours by calls and task."""
    if not any(early.values()):
        return ""
    out = ["metier's test score after fewer calls, beside the best peer after all of them:\n"]
    out += _head(["task", *(f"{calls} calls" for calls in early), f"best peer, {max(early)} calls"])
    for task in tasks:
        cells = [f"{100 * scores[task]:.1f}" if task in scores else NOT_RUN for scores in early.values()]
        best = max(((mean(row.scores(task)), row.name) for row in rivals), default=None)
        out.append(_line([task, *cells, NOT_RUN if best is None else f"{100 * best[0]:.1f} ({best[1]})"]))
    return "\n".join(out) + "\n"


def _head(names: Sequence[str]) -> list[str]:
    return [_line(names), "|" + "---|" * len(names)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(row: Entry, task: str, seeds: Sequence[int], best: float) -> str:
    if all(row.value(task, seed) is None for seed in seeds):
        return NOT_RUN
    scores, scored = row.scores(task), len(row.seeds(task))
    if not scores:
        return "failed"
    low, high = interval(scores)
    text = f"{100 * mean(scores):.1f}"
    text = f"**{text}**" if mean(scores) == best else text
    missing = "" if scored == len(seeds) else f" ({scored} of {len(seeds)} seeds)"
    return f"{text} [{100 * low:.0f}, {100 * high:.0f}]{missing}"


def _difference(found: Paired | None) -> str:
    if found is None:
        return NOT_RUN
    return f"{100 * found.mean:+.1f} [{100 * found.low:+.0f}, {100 * found.high:+.0f}]"


def _overall(tasks: Sequence[Paired | None]) -> Paired | None:
    known = [task for task in tasks if task is not None]
    if len(known) < len(tasks):
        return None
    middle = mean([task.mean for task in known])
    down = math.hypot(*(task.mean - task.low for task in known)) / len(known)
    up = math.hypot(*(task.high - task.mean for task in known)) / len(known)
    return Paired(middle, middle - down, middle + up)


def _refused(row: Entry) -> str:
    """Return the mean over cells of the calls that a search asked for when it had spent its own."""
    searches = [line["spent"]["search"].values() for line in row.lines.values()]
    return f"{mean([float(sum(role['refused'] for role in roles)) for roles in searches]):.0f}"


def _taken(row: Entry, what: str) -> str:
    """Return the mean over cells of the calls (both models') or the seconds (search and test) that were taken."""
    return f"{mean([sum(line[what].values()) for line in row.lines.values()]):.0f}"
