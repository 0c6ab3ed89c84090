"""Makes the README's tables from results.jsonl: `python -m experiments.field.report` writes them into it."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from scipy.stats import ttest_1samp

from experiments.field.bars import above, bars
from experiments.field.entries import Entry, by_example, entries, from_nothing, peers
from experiments.field.lines import RESULTS, Line, only, read_lines
from experiments.field.methods import (
    BARE,
    BARE_BUDGET,
    BUDGET,
    FRACTIONS,
    FRESH,
    FRESH_SEEDS,
    LARGER,
    METHODS,
    REQUIRED_LARGER,
    SEEDS,
    SMALL,
)
from experiments.field.tables import against, calls_needed, table
from experiments.field.tasks import FROM_NOTHING, TASKS, USELESS
from optimizer.evaluate.statistics import difference, mean

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- made by report.py -->", "<!-- end -->"
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
    parts = [
        *required(lines),
        *fresh(lines),
        reported(lines),
        *larger(lines),
        *(part for setting in BARE for part in useless(lines, setting)),
        failures(lines),
    ]
    return "\n".join(part for part in parts if part)


def required(lines: Sequence[Line]) -> list[str]:
    """Return what was played with SmolLM2 and the two seeds, ours after fewer calls, and what it says of the goals."""
    rows, tasks = entries(lines, SMALL), tuple(TASKS)
    sooner = {calls: early(lines, calls) for calls in (*FRACTIONS, BUDGET)}
    return [
        f"### SmolLM2-135M, {BUDGET} calls\n",
        table(rows, tasks, SEEDS),
        against(rows, tasks),
        calls_needed(sooner, peers(rows, tasks), tasks),
        bars(rows, list(sooner.values()), tasks),
    ]


def fresh(lines: Sequence[Line]) -> list[str]:
    """Return ours beside the nearest rivals on seeds that nothing was chosen on; nothing before they were played."""
    methods = tuple(dict.fromkeys(method for method, _ in FRESH))
    rows = [row for row in entries(lines, SMALL, methods, FRESH_SEEDS) if (row.method, row.variant) in FRESH]
    if not any(row.lines for row in rows):
        return []
    head = f"### SmolLM2-135M, {BUDGET} calls, seeds {' and '.join(map(str, FRESH_SEEDS))}\n"
    return [head, table(rows, tuple(TASKS), FRESH_SEEDS), against(rows, tuple(TASKS)), above(rows, tuple(TASKS)) + "\n"]


def reported(lines: Sequence[Line]) -> str:
    """Return how far what metier said of its winners lies above their test scores, over all searches with SmolLM2."""
    mine = only(lines, method="ours", model=SMALL, budget=BUDGET, setting="usual", error=None)
    if not mine:
        return ""
    said, true = ([line[name] for line in mine] for name in ("validation_score", "score"))
    gaps = [100 * (one - two) for one, two in zip(said, true, strict=True)]
    told = f"{mean(gaps):+.1f} points"
    if len(gaps) > 1:
        low, high = ttest_1samp(gaps, 0.0).confidence_interval()  # of searches, whose scores are means already
        told += f" [{low:+.0f}, {high:+.0f}]"
    told += f" over {len(gaps)} searches"
    most = f"each from {min(gaps):+.0f} to {max(gaps):+.0f}"
    return f"What metier reports of its winners before the test, less their test scores: {told}, {most}.\n"


def larger(lines: Sequence[Line]) -> list[str]:
    """Return what was played with the larger model."""
    rows = entries(lines, LARGER, REQUIRED_LARGER)
    head = f"### Qwen2.5-Coder-1.5B, {BUDGET} calls, one seed\n"
    return [head, table(rows, TWO, SEEDS[:1]), against(rows, TWO), above(rows, TWO) + "\n"]


def useless(lines: Sequence[Line], setting: str) -> list[str]:
    """Return the tables of what begins with the useless instruction."""
    rows, shown = from_nothing(lines, setting), "no demos" if setting == "bare" else "with demos"
    head = f'### From the instruction "{USELESS}", Qwen2.5-Coder-1.5B, {BARE_BUDGET} calls, `turns`, {shown}\n'
    return [head, table(rows, tuple(FROM_NOTHING), SEEDS), _over_seed(rows[0]), against(rows, tuple(FROM_NOTHING))]


def _over_seed(ours: Entry) -> str:
    """Return what the seed itself scores on the same test examples, and ours above it."""
    told = []
    for task in FROM_NOTHING:
        if mine := [line for (name, _), line in sorted(ours.lines.items()) if name == task and line["scores"]]:
            seeds = by_example({**line, "scores": line["seed_scores"]} for line in mine)
            pairs = [(mean(best), mean(seeds[place])) for place, best in by_example(mine).items()]
            best, seed = zip(*pairs, strict=True)
            low, high = difference(best, seed)
            gain = f"{100 * (mean(best) - mean(seed)):+.1f} [{100 * low:+.0f}, {100 * high:+.0f}]"
            told.append(f"{task} {100 * mean(seed):.1f}, metier {gain}")
    return f"The seed alone: {'; '.join(told)}.\n" if told else ""


def early(lines: Sequence[Line], calls: int) -> dict[str, float]:
    """Return ours' mean test score after this many calls, by task, where every seed was played."""
    (row,) = entries(lines, SMALL, ("ours",), budget=calls)
    return {task: mean(row.scores(task)) for task in TASKS if row.complete((task,))}


def failures(lines: Sequence[Line]) -> str:
    """Return what failed and where, a line for each method and place."""
    alike: dict[tuple[str, str, str], list[Line]] = defaultdict(list)
    for line in lines:
        if line["error"] is not None:
            alike[line["method"], line["variant"], line["where"]].append(line)
    out = []
    for (method, variant, where), failed in sorted(alike.items()):
        cells = ", ".join(sorted(f"{line['task']} (seed {line['seed']})" for line in failed))
        first = failed[0]["error"].splitlines()[0]
        out.append(f"- {METHODS[method].title} ({variant}), {cells}: `{first}` at `{where}`")
    return "\n".join(["Failed:\n", *out]) + "\n" if out else ""


if __name__ == "__main__":
    main()
