"""Makes the README's tables from results.jsonl: `python -m experiments.field.report` writes them into it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from experiments.field.bars import bars
from experiments.field.entries import Entry, entries, from_nothing, paired
from experiments.field.lines import RESULTS, Line, only, read_lines
from experiments.field.methods import (
    BARE,
    BARE_BUDGET,
    BUDGET,
    FRACTIONS,
    LARGER,
    METHODS,
    REQUIRED_LARGER,
    SEEDS,
    SMALL,
)
from experiments.field.tasks import FROM_NOTHING, TASKS, USELESS
from optimizer.evaluate.statistics import difference, interval, mean

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- made by report.py -->", "<!-- end -->"
NOT_RUN = "not run"
TWO = ("banking10", "taxonomy_animal")


def main() -> None:
    """Write the tables into the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--readme", type=Path, default=README)
    options = parser.parse_args()
    options.readme.write_text(renewed(options.readme.read_text(encoding="utf-8"), read_lines(options.results)))


def renewed(readme: str, lines: Sequence[Line]) -> str:
    """Return the README's text with its tables made anew."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{report(lines)}\n{END}{after}"


def report(lines: Sequence[Line]) -> str:
    """Return all tables as Markdown."""
    small = entries(lines, SMALL)
    parts = [
        f"### SmolLM2-135M, {BUDGET} calls\n",
        table(small, tuple(TASKS), SEEDS),
        against(small, tuple(TASKS)),
        calls_needed(lines, small),
        bars(small, [early(lines, calls) for calls in (*FRACTIONS, BUDGET)], tuple(TASKS)),
        f"### Qwen2.5-Coder-1.5B, {BUDGET} calls, one seed\n",
        table(entries(lines, LARGER, REQUIRED_LARGER), TWO, SEEDS[:1]),
        *(part for setting in BARE for part in useless(lines, setting)),
        failures(lines),
    ]
    return "\n".join(part for part in parts if part)


def useless(lines: Sequence[Line], setting: str) -> list[str]:
    """Return the tables of what begins with the useless instruction."""
    rows, shown = from_nothing(lines, setting), "no demos" if setting == "bare" else "with demos"
    head = f'### From the instruction "{USELESS}", Qwen2.5-Coder-1.5B, {BARE_BUDGET} calls, `turns`, {shown}\n'
    return [head, table(rows, tuple(FROM_NOTHING), SEEDS), _over_seed(rows[0]), against(rows, tuple(FROM_NOTHING))]


def _over_seed(ours: Entry) -> str:
    """Return what the seed itself scores on the same test examples, and ours above it."""
    told = []
    for task in FROM_NOTHING:
        mine = [line for (name, _), line in sorted(ours.lines.items()) if name == task and line["scores"]]
        if mine:
            best, seed = ([score for line in mine for score in line[part]] for part in ("scores", "seed_scores"))
            low, high = difference(best, seed)
            gain = f"{100 * (mean(best) - mean(seed)):+.1f} [{100 * low:+.0f}, {100 * high:+.0f}]"
            told.append(f"{task} {100 * mean(seed):.1f}, metier {gain}")
    return f"The seed alone: {'; '.join(told)}.\n" if told else ""


def table(rows: Sequence[Entry], tasks: Sequence[str], seeds: Sequence[int]) -> str:
    """Return the scores with 95 % intervals, means and mean ranks; the best of each task in bold."""
    ranks = mean_ranks(rows, tasks, seeds)
    best = {task: max((mean(row.scores(task)) for row in rows if row.scores(task)), default=2.0) for task in tasks}
    head = ["method", *tasks, "mean", "mean rank", "calls", "s a cell"]
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in sorted(rows, key=lambda one: -one.overall(tasks)):
        cells = [_cell(row, task, len(seeds), best[task]) for task in tasks]
        whole = row.complete(tasks)
        overall = f"{100 * row.overall(tasks):.1f}" if whole else "–"
        rank = ranks.get(row.name)
        tail = [overall, "–" if rank is None else f"{rank:.1f}", _calls(row), _seconds(row)]
        out.append("| " + " | ".join([row.name, *cells, *tail]) + " |")
    return "\n".join(out) + "\n"


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
    """Return ours minus each other row on the same test examples, with 95 % intervals."""
    ours = next(row for row in rows if row.method == "ours")
    others = [row for row in rows if row is not ours]
    out = ["Points of metier over each, paired on the same test examples (95 % interval):\n"]
    out += ["| method | " + " | ".join(tasks) + " |", "|" + "---|" * (len(tasks) + 1)]
    filled = []
    for row in others:
        cells = [_paired(ours, row, task) for task in tasks]
        if any(cells):
            filled.append("| " + " | ".join([row.name, *(cell or NOT_RUN for cell in cells)]) + " |")
    return "\n".join([*out, *filled]) + "\n" if filled else ""


def calls_needed(lines: Sequence[Line], rows: Sequence[Entry]) -> str:
    """Return ours at parts of the budget beside the best searching peer at all of it."""
    budgets = (*FRACTIONS, BUDGET)
    peers = [row for row in rows if METHODS[row.method].package != "optimizer"]
    out = ["metier's test score after fewer calls, beside the best searching peer after all of them:\n"]
    out += ["| task | " + " | ".join(f"{calls} calls" for calls in budgets) + " | best peer, 200 calls |"]
    out += ["|" + "---|" * (len(budgets) + 2)]
    ours = [early(lines, calls) for calls in budgets]
    for task in TASKS:
        cells = [f"{100 * scores[task]:.1f}" if task in scores else NOT_RUN for scores in ours]
        best = max(((mean(row.scores(task)), row.name) for row in peers if row.scores(task)), default=None)
        cells.append(NOT_RUN if best is None else f"{100 * best[0]:.1f} ({best[1]})")
        out.append("| " + " | ".join([task, *cells]) + " |")
    return "\n".join(out) + "\n" if any(ours) else ""


def early(lines: Sequence[Line], calls: int) -> dict[str, float]:
    """Return ours' mean test score after this many calls, by task, where it was run."""
    found = {}
    for task in TASKS:
        mine = only(lines, method="ours", model=SMALL, budget=calls, task=task)
        if scores := [line["score"] for line in mine if line["score"] is not None]:
            found[task] = mean(scores)
    return found


def failures(lines: Sequence[Line]) -> str:
    """Return what failed, and where, as a list."""
    failed = [line for line in lines if line["error"] is not None and line["budget"] == BUDGET]
    if not failed:
        return ""
    out = ["Failed by their own defect:\n"]
    for line in failed:
        cell = (
            f"{METHODS[line['method']].title} ({line['variant']}), {line['task']}, {line['model']}, seed {line['seed']}"
        )
        out.append(f"- {cell}: `{line['error'].splitlines()[0]}` at `{line['where']}`")
    return "\n".join(out) + "\n"


def _cell(row: Entry, task: str, seeds: int, best: float) -> str:
    scores = row.scores(task)
    played = [line for (name, _), line in row.lines.items() if name == task]
    if not played:
        return NOT_RUN
    if not scores:
        return "failed"
    low, high = interval(scores)
    text = f"{100 * mean(scores):.1f}"
    text = f"**{text}**" if mean(scores) == best else text
    missing = "" if sum(line["score"] is not None for line in played) == seeds else f" ({len(played)} of {seeds} seeds)"
    return f"{text} [{100 * low:.0f}, {100 * high:.0f}]{missing}"


def _paired(ours: Entry, other: Entry, task: str) -> str:
    found = paired(ours, other, task)
    return "" if found is None else f"{100 * found.mean:+.1f} [{100 * found.low:+.0f}, {100 * found.high:+.0f}]"


def _calls(row: Entry) -> str:
    """Return the mean calls of the search, task and prompt model together."""
    return f"{mean([sum(line['calls'].values()) for line in row.lines.values()]):.0f}" if row.lines else "–"


def _seconds(row: Entry) -> str:
    return f"{mean([sum(line['seconds'].values()) for line in row.lines.values()]):.0f}" if row.lines else "–"


if __name__ == "__main__":
    main()
