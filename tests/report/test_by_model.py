from __future__ import annotations

from dataclasses import replace

from optimizer.report.by_model import HEAD, models_section
from optimizer.report.gather import Facts
from optimizer.types import Candidate, Prompt, Usage

from .parts import tables

MODELS = {"task": {"model": "openai/<a>"}, "also": [{"model": "openai/b"}, {"model": "openai/c"}]}


def several(facts: Facts) -> Facts:
    """Return a run's facts with three trials of two models; nothing was tried with the third."""
    first = facts.trials[0]
    tried = {"": (0.5, "complete"), "openai/b": (0.75, "complete"), "second of b": (0.9, "raced_out")}
    trials = [
        replace(
            first,
            number=number,
            state=state,
            score=score,
            low=score - 0.1,
            high=score + 0.1,
            candidate=Candidate({"predict": Prompt("i", model="openai/b" if "b" in name else "")}),
            spent=Usage(calls=4, usd=0.002),
            tokens=120.4,
        )
        for number, (name, (score, state)) in enumerate(tried.items())
    ]
    return replace(facts, trials=trials, identity={"config": {"models": MODELS}})


def test_each_model_has_a_row_the_best_first(facts: Facts) -> None:
    (section,) = models_section(several(facts))
    seen = str(facts.trials[0].seen)
    (table,) = tables(section).values()
    assert (section.title, table.head) == ("By model", HEAD)
    assert [list(row) for row in table.rows] == [
        ["openai/b", "2", "1", "0.750", "[0.65, 0.85]", seen, "120", "0.50"],
        ["openai/<a>", "1", "1", "0.500", "[0.40, 0.60]", seen, "120", "0.50"],
        ["openai/c", "0", "0", "–", "–", "–", "–", "–"],
    ]


def test_one_model_needs_no_table(facts: Facts) -> None:
    assert models_section(facts) == []
