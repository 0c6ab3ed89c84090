"""Sections of a sweep's report on its cells: what they took, their verdicts, failures, and all of them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median

from optimizer.report.blocks import Block, Section, Table, Text
from optimizer.report.clean import cell
from optimizer.report.words import interval
from optimizer.sweep.results import Results, outcome


def cost_section(results: Results) -> Section:
    """Return what a cell of each method took, and what it took to reach a score."""
    rows = []
    for method in results.methods:
        cells = results.of(method=method)
        spent = [outcome(one)["spent"] for one in cells]
        calls, usd = [outcome(one)["asked"] for one in cells], [one["usd"] for one in spent]
        seconds = fmean(outcome(one)["seconds"] for one in cells)
        rows.append([method, f"{fmean(calls):,.0f}", f"{fmean(usd):,.4f}", f"{seconds:,.0f}", *_reach(results, method)])
    head = ("method", "calls", "dollars", "seconds", "reached", "calls to it", "dollars to it")
    text = (
        "Means of a cell: calls of the search, dollars and seconds of the whole run. The target is, in each task, the "
        "best validation score that half of its cells found; of the cells that reached it the median of what their "
        "trials had taken by then."
    )
    recalled = sum(outcome(one)["recalled"] for one in results.finished)
    note = f"{recalled:,} calls were answered by the cache between runs: they count as calls here, and cost no dollars."
    notes: list[Block] = [Text(note, warning=True)] if recalled else []
    return Section("Cost", [Text(text), *notes, Table("What a cell took", head, rows)])


def _reach(results: Results, method: str) -> list[str]:
    calls, usd, count = list[int](), list[float](), 0
    for task in results.tasks:
        cells = results.of(task, method)
        of_task = results.reached(task, cells)
        calls, usd, count = [*calls, *of_task[0]], [*usd, *of_task[1]], count + len(cells)
    if not calls:
        return [f"0 of {count}", "–", "–"]
    return [f"{len(calls)} of {count}", f"{median(calls):,.0f}", f"{median(usd):,.4f}"]


def verdicts_section(results: Results) -> Section:
    """Return how the cells' own verdicts fell, and how many winners score less than the seed."""
    rows = []
    for method in results.methods:
        cells = results.of(method=method)
        counts = [
            sum(outcome(one)["verdict"] == verdict for one in cells)
            for verdict in ("improved", "inconclusive", "worse")
        ]
        below = sum(outcome(one)["winner"]["score"] < outcome(one)["seed"]["score"] for one in cells)
        rows.append([method, *map(str, counts), f"{below} of {len(cells)}"])
    head = ("method", "improved", "inconclusive", "worse", "below untuned")
    text = "The cells' own verdicts, and how many winners score less on test examples than the untuned prompt."
    return Section("Verdicts", [Text(text), Table("Verdicts by method", head, rows)])


def failures_section(results: Results) -> Section:
    """Return the cells without a result, and the calls that failed."""
    failed = [
        (one.cell.name, one.state, one.message or "–") for one in results.cells if one.plays and one.outcome is None
    ]
    waiting = sum(not one.plays for one in results.cells)
    kinds: dict[str, int] = {}
    for one in results.finished:
        for kind, count in outcome(one)["failures"].items():
            kinds[kind] = kinds.get(kind, 0) + count
    blocks: list[Block] = [
        Table(
            "Cells without a result",
            ("cell", "state", "why"),
            _cleaned(failed),
            "Every cell that was begun is finished.",
        )
    ]
    if waiting:
        blocks.append(Text(f"{waiting:,} cells were not begun."))
    calls = [(kind, f"{count:,}") for kind, count in sorted(kinds.items())]
    blocks.append(
        Table("Calls of finished cells that failed for good", ("kind", "calls"), calls, "No call failed for good.")
    )
    return Section("Failures", blocks)


def cells_section(results: Results) -> Section:
    """Return every finished cell."""
    rows = []
    for one in results.finished:
        data = outcome(one)
        rows.append(
            (
                one.cell.name,
                f"{data['seed']['score']:.3f}",
                f"{data['winner']['score']:.3f}",
                f"{data['difference']['mean']:+.3f}",
                interval(*data["difference"]["ci95"], form="+.3f"),
                str(data["verdict"]),
                f"{data['spent']['calls']:,}",
                str(data["winner"]["prompt"]),
            )
        )
    head = ("cell", "untuned", "winner", "difference", "95 % interval", "verdict", "calls", "the winner's prompt")
    note = Text(
        "Each is a run of its own below `cells/`, with its own report; cells.csv and cells.parquet have all figures."
    )
    return Section("All cells", [note, Table("All finished cells", head, _cleaned(rows))], folded=True)


def _cleaned(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[cell(text) for text in row] for row in rows]
