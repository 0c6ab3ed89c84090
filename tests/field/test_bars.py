from __future__ import annotations

from experiments.field.bars import bars
from experiments.field.entries import entries
from experiments.field.methods import SMALL

from .made import TASK, failed, line

EARLY = [{"sst2": 0.55}, {"sst2": 0.7}, {"sst2": 0.9}]


def told(*lines: dict[str, object]) -> str:
    return bars(entries(list(lines), SMALL), EARLY, TASK, (0,))


def test_the_lead_is_over_the_best_peer_of_each_kind() -> None:
    text = told(line("ours", 9), line("mipro", 5), line("gepa", 6), line("simba", 8, variant="turns"), failed("capo"))
    assert "metier 90.0, the best peer as shipped 60.0 (GEPA, of 2 with every cell): +30.0 points (at" in text
    assert "best peer given our format 80.0 (SIMBA + our format, of 1 with every cell): +10.0 points (at" in text


def test_who_is_above_is_named() -> None:
    assert "Significantly above metier: none on any task" in told(line("ours", 9), line("mipro", 10))
    text = told(line("ours", 1), line("mipro", 10), line("nearest-8", 9, variant="turns"))
    assert "Significantly above metier: 8 nearest demos on sst2, MIPROv2 on sst2 (" in text


def test_the_part_of_the_calls_is_the_first_that_reaches_the_best_peer() -> None:
    assert "sst2 0.5; median 0.5 (goal: 0.25)" in told(line("ours", 9), line("mipro", 6), line("gepa", 1))
    assert "sst2 inf; median inf" in told(line("ours", 9), line("mipro", 10))


def test_peers_as_shipped_and_given_our_format_are_told_apart() -> None:
    text = told(line("ours", 9), line("mipro", 5), line("mipro", 8, variant="turns"))
    assert "best peer as shipped: sst2 0.25; median 0.25 (" in text
    assert "best peer given our format: sst2 1; median 1 (" in text


def test_of_an_even_number_of_tasks_both_middle_ones_are_told() -> None:
    tasks = ("sst2", "agnews")
    rows = entries(
        [line("ours", 9), line("mipro", 5), line("ours", 9, task="agnews"), line("mipro", 8, task="agnews")], SMALL
    )
    early = [dict.fromkeys(tasks, score) for score in (0.55, 0.7, 0.9)]
    assert "sst2 0.25, agnews 1; median 0.25 to 1 (goal: 0.25)" in bars(rows, early, tasks, (0,))


def test_a_part_that_was_not_played_is_passed_over() -> None:
    rows = entries([line("ours", 9), line("mipro", 6)], SMALL)
    assert "sst2 1; median 1 (goal: 0.25)" in bars(rows, [{"sst2": 0.55}, {}, {"sst2": 0.9}], TASK, (0,))
    assert "Part of the calls" not in bars(rows, [{}, {"sst2": 0.7}, {"sst2": 0.9}], TASK, (0,))


def test_nothing_is_said_before_ours_was_played() -> None:
    assert told(line("mipro", 6)) == ""
