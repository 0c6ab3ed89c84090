"""The report's section on the front that a search was asked for: score against cost, latency, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from optimizer.ledger.trials import Trial
from optimizer.report.blocks import Figure, Section, Table
from optimizer.report.curves import pareto
from optimizer.report.figures import scatter
from optimizer.report.gather import Facts
from optimizer.report.words import interval, number

TOKENS, USD, LATENCY = "tokens a call", "$ per 1,000 calls", "median ms"
_MEASURED = (
    " The time of an answer is that from sending the request that was answered until its answer was there, without "
    "waits of metier's own and without answers of a cache, beside up to as many other calls as the run had in flight: "
    "under another load the same prompt is faster or slower."
)


def front_section(facts: Facts, sides: Mapping[str, str]) -> list[Section]:
    """Return the front that the search was asked for; nothing where it was not.

    `sides` are what a figure calls the seed and the winner, by their ids.
    """
    first = {trial.candidate.id: trial for trial in reversed(facts.trials)}
    points = [point for point in (facts.result or {}).get("pareto_front", ()) if point["candidate_id"] in first]
    if not points:
        return []
    timed = all("latency" in point for point in points)
    objective = facts.identity.get("config", {}).get("search", {}).get("objective", ())
    unit, digits, costs = TOKENS, 0, [point["tokens_per_call"] for point in points]
    if any("usd_per_call" in point for point in points):
        unit, digits, costs = USD, 4, [1000 * point.get("usd_per_call", 0.0) for point in points]
    elif timed and "tokens" not in objective:
        unit, costs = LATENCY, [point["latency"]["p50_ms"] for point in points]
    shown = [
        replace(first[point["candidate_id"]], score=point["estimate"], tokens=cost)
        for point, cost in zip(points, costs, strict=True)
    ]
    also = f", {LATENCY}" if timed and unit != LATENCY else ""
    drawn = pareto(shown)
    description = (
        f"{len(shown)} candidates that no other beats in {'all of' if also else 'both'} the estimated score"
        f"{also}{',' if also else ''} and {unit}. The estimates are shrunken towards the other candidates'; who left "
        "the race early has seen few examples, and is less sure."
    )
    if len(drawn) < len(shown):
        description += " The picture shows score and cost alone; who lies below its line is faster."
    table = _table(shown, points, sides, unit, digits, timed)
    title = f"Estimated score against {unit}"
    svg = scatter(shown, drawn, dict(sides), title, description, "front", unit)
    return [Section("Pareto front", [Figure(title, description + _MEASURED * timed, svg, table)])]


def _table(
    shown: Sequence[Trial],
    points: Sequence[Mapping[str, Any]],
    sides: Mapping[str, str],
    unit: str,
    digits: int,
    timed: bool,
) -> Table:
    """Return the front as a table: a column a cost, and times with their interval."""
    head = ["trial", unit, "estimate", "95 % interval of its own answers", "is", "examples seen"]
    rows = []
    for trial, point in zip(shown, points, strict=True):
        score = interval(trial.low, trial.high, form=".2f")
        figures = [str(trial.number), number(trial.tokens, digits), number(trial.score), score]
        rows.append([*figures, sides.get(trial.candidate.id, "–"), str(trial.seen), *_times(point, unit, timed)])
    if timed:
        head += [*([] if unit == LATENCY else [LATENCY]), "95 % interval of that", "p95 ms"]
    return Table("The Pareto front of the search", tuple(head), [tuple(row) for row in rows])


def _times(point: Mapping[str, Any], unit: str, timed: bool) -> list[str]:
    if not timed:
        return []
    latency = point["latency"]
    median = [] if unit == LATENCY else [number(latency["p50_ms"], 0)]
    return [*median, interval(*latency["p50_ci95_ms"], form=".0f"), number(latency["p95_ms"], 0)]
