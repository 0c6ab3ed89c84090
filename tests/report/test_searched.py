from __future__ import annotations

import dataclasses

from optimizer.report.blocks import Figure, Section, Text
from optimizer.report.gather import Facts
from optimizer.report.searched import search_section

from .test_importance import grid


def parts(facts: Facts) -> dict[str, list[object]]:
    inner = search_section(facts).blocks
    return {one.title: list(one.blocks) for one in inner if isinstance(one, Section)}


def test_the_figures_tell_in_words_what_they_show(facts: Facts) -> None:
    found = parts(facts)
    (curve,), (scatter,) = found["Best so far"], found["Score against tokens"]
    assert isinstance(curve, Figure)
    assert "rose from 0.500 to 0.917 (trial 1) in 40 calls" in curve.description
    assert isinstance(scatter, Figure)
    assert scatter.description.startswith("3 candidates that saw every validation example;")
    assert scatter.description.endswith("fewer tokens a call: 2.")
    assert [row[:3] for row in scatter.table.rows] == [("0", "10", "0.500"), ("1", "20", "0.917")]
    (told,) = found["What mattered"]
    assert isinstance(told, Text)
    assert "too few trials" in told.text


def test_a_seed_that_left_early_is_shown_all_the_same(facts: Facts) -> None:
    seed = dataclasses.replace(facts.trials[0], state="raced_out", seen=4)
    (scatter,) = parts(dataclasses.replace(facts, trials=[seed, *facts.trials[1:]]))["Score against tokens"]
    assert isinstance(scatter, Figure)
    assert scatter.description.endswith("The seed left the race after 4.")
    assert ">seed<" in scatter.svg


def test_importance_is_told_with_its_range(facts: Facts) -> None:
    figure, note = parts(dataclasses.replace(facts, trials=grid(0.02)))["What mattered"]
    assert isinstance(figure, Figure)
    assert figure.table.rows[0][0] == "format"
    assert isinstance(note, Text)
    assert "Where ranges overlap" in note.text


def test_a_front_that_was_asked_for_is_drawn(facts: Facts) -> None:
    seed, winner = (trial.candidate for trial in facts.trials[:2])
    shown = [(seed.id, 0.45, 9.0, 12), (winner.id, 0.8, 21.0, 12), ("unknown", 0.9, 30.0, 12)]
    names = ("candidate_id", "estimate", "tokens_per_call", "seen")
    result = {**(facts.result or {}), "pareto_front": [dict(zip(names, one, strict=True)) for one in shown]}
    assert "Pareto front" not in parts(facts)
    (figure,) = parts(dataclasses.replace(facts, result=result))["Pareto front"]
    assert isinstance(figure, Figure)
    assert [(*row[:3], row[4]) for row in figure.table.rows] == [
        ("0", "9", "0.450", "seed"),
        ("1", "21", "0.800", "winner"),
    ]
    assert 'id="front-title"' in figure.svg


def test_nothing_to_show_is_said(facts: Facts) -> None:
    found = parts(dataclasses.replace(facts, trials=[]))
    assert all(isinstance(blocks[0], Text) for blocks in found.values())
