from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from optimizer.report.blocks import Figure, Section
from optimizer.report.front import front_section
from optimizer.report.gather import Facts


def timed(milliseconds: float) -> dict[str, Any]:
    interval = [milliseconds - 5, milliseconds + 5]
    return {"p50_ms": milliseconds, "p50_ci95_ms": interval, "p95_ms": 3 * milliseconds, "answers": 12}


def figure_of(facts: Facts, objective: list[str], points: list[dict[str, Any]]) -> Figure:
    identity = {**facts.identity, "config": {"search": {"objective": objective}}}
    result = {**(facts.result or {}), "pareto_front": points}
    shown = dataclasses.replace(facts, result=result, identity=identity)
    (section,) = front_section(shown, {points[0]["candidate_id"]: "seed"})
    assert isinstance(section, Section)
    (figure,) = section.blocks
    assert isinstance(figure, Figure)
    return figure


@pytest.fixture
def points(facts: Facts) -> list[dict[str, Any]]:
    ids = [trial.candidate.id for trial in facts.trials[:3]]
    figures = ((0.4, 0.001, 900.0), (0.8, 0.002, 700.0), (0.7, 0.003, 200.0))
    return [
        {"candidate_id": one, "estimate": score, "tokens_per_call": 9.0, "seen": 12, "usd_per_call": usd}
        | {"latency": timed(milliseconds)}
        for one, (score, usd, milliseconds) in zip(ids, figures, strict=True)
    ]


def test_three_objectives_are_three_columns_and_a_picture_of_two(facts: Facts, points: list[dict[str, Any]]) -> None:
    figure = figure_of(facts, ["score", "usd", "latency"], points)
    assert figure.table.head[1:3] == ("$ per 1,000 calls", "estimate")
    assert figure.table.head[-3:] == ("median ms", "95 % interval of that", "p95 ms")
    assert [row[1] for row in figure.table.rows] == ["1.0000", "2.0000", "3.0000"]
    assert [row[-3] for row in figure.table.rows] == ["900", "700", "200"]
    assert figure.table.rows[0][-2:] == ("[895, 905]", "2700")
    assert "3 candidates that no other beats in all of the estimated score, median ms, and $" in figure.description
    assert "who lies below its line is faster" in figure.description
    assert "without waits of metier's own" in figure.description


def test_score_and_latency_are_drawn_against_each_other(facts: Facts, points: list[dict[str, Any]]) -> None:
    two = [{name: value for name, value in one.items() if name != "usd_per_call"} for one in points[1:]][::-1]
    figure = figure_of(facts, ["score", "latency"], two)
    assert figure.title == "Estimated score against median ms"
    assert [row[1] for row in figure.table.rows] == ["200", "700"]
    assert figure.table.head.count("median ms") == 1


def test_without_a_front_there_is_no_section(facts: Facts) -> None:
    assert front_section(facts, {}) == []
