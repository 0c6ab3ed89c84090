from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import all_trials, begin_trial, finish_trial
from optimizer.report.markdown import best_md, candidate_md, report_md
from optimizer.report.result import Report, Side
from optimizer.types import Candidate, Example, Prompt

from .conftest import DEMOS, SEED, WINNER

MakeReport = Callable[..., Report]


def blocks(text: str) -> list[str]:
    """Return what stands in each fenced block."""
    found, inside = list[str](), False
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
            found += [""] if inside else []
        elif inside:
            found[-1] += line + "\n"
    assert not inside, "a fence is left open"
    return found


def test_best_md_shows_the_prompt_its_demos_and_the_change(report: MakeReport) -> None:
    text = best_md(report())
    assert text.startswith("# The best prompt for tiny\n\n**improved**: 0.500 → 0.750 on 40 test examples")
    assert "(+0.250, 95 % interval [+0.125, +0.375])" in text
    assert "Format `block`; the 2 demos below, always the same." in text
    prompt, demos, diff = blocks(text)
    assert prompt == "Do it.\nSlowly.\n"
    assert demos == "one → x\ntwo → y\n"
    assert diff.splitlines() == [
        "  Do it.",
        "- Now.",
        "- [Format `turns`, no demos.]",
        "+ Slowly.",
        "+ [Format `block`; the 2 demos below, always the same.]",
    ]


def test_reversed_demos_are_shown_as_the_model_sees_them(report: MakeReport) -> None:
    prompt = dataclasses.replace(WINNER.prompts["predict"], order="reversed")
    winner = Side(Candidate({"predict": prompt}), 0.75, (0.6, 0.8), 9.0)
    assert "two → y\none → x\n" in best_md(report(winner=winner))


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (Prompt("i", "json"), "Format `json`, no demos."),
        (
            Prompt("i", "turns", "nearest", 4),
            "Format `turns`; the 4 training examples nearest to the input, the nearest last.",
        ),
        (
            Prompt("i", "turns", "diverse", 8, "reversed"),
            "Format `turns`; 8 training examples near the input and unlike each other, the nearest first.",
        ),
    ],
)
def test_settings_are_told_in_words(prompt: Prompt, words: str) -> None:
    assert candidate_md(Candidate({"predict": prompt})) == f"## predict\n\n{words}\n\n```text\ni\n```\n"


def test_several_predictors_have_a_heading_each(report: MakeReport) -> None:
    both = {"one": Prompt("a"), "two": Prompt("b")}
    sides = {name: Side(Candidate(both), 0.5, (0.4, 0.6), 9.0) for name in ("seed", "winner")}
    text = best_md(report(**sides))
    assert "## one" in text
    assert "## two" in text
    assert "## The prompt" not in text


def test_many_demos_are_cut() -> None:
    demos = tuple(Example({"q": str(n)}, {"a": "x"}) for n in range(40))
    text = candidate_md(Candidate({"predict": Prompt("i", "turns", "static", 40, "given", demos)}))
    assert text.count("→") == 32


@pytest.fixture
def trials(tmp_path: Path):  # type: ignore[no-untyped-def]
    ledger = Ledger(tmp_path / "ledger.db")
    begin_trial(ledger, 0, SEED, {}).result(5)
    begin_trial(ledger, 1, WINNER, {}).result(5)
    ends = {"score": 0.5, "low": 0.25, "high": 0.75, "seen": 20}
    finish_trial(ledger, 0, state="complete", reason="saw every example of the race", **ends).result(5)
    finish_trial(ledger, 1, state="failed", reason="2 of 3 answers never came (server)", seen=3).result(5)
    yield all_trials(ledger)
    ledger.close()


def test_report_md_tells_scores_cost_and_every_trial(report: MakeReport, trials) -> None:  # type: ignore[no-untyped-def]
    text = report_md(report(notes=("validation was split off",)), trials)
    assert text.startswith("# tiny: improved\n")
    assert "| seed | 0.500 | [0.400, 0.600] | 10 |\n| winner | 0.750 | [0.650, 0.850] | 100 |" in text
    assert "Paired difference: +0.250, 95 % interval [+0.125, +0.375]." in text
    assert "validation was 0.800" in text
    assert "Search: 34 calls (5 more answered by the ledger), 1,234 tokens, $0.5000, 61 s with the test." in text
    assert "Test: 80 calls." in text
    assert (
        f"| 0 | `{SEED.id}` | seed | complete | 0.500 | [0.25, 0.75] | 20 | saw every example of the race |\n"
        f"| 1 | `{WINNER.id}` | templates | failed | – | – | 3 | 2 of 3 answers never came (server) |"
    ) in text
    assert text.endswith("## Notes\n\n- validation was split off\n")


def test_every_row_of_a_table_has_the_heads_columns(report: MakeReport, trials) -> None:  # type: ignore[no-untyped-def]
    tables = [line.count("|") for line in report_md(report(), trials).splitlines() if line.startswith("|")]
    assert tables == [5] * 4 + [9] * 4


def test_a_report_without_notes_has_no_heading_for_them(report: MakeReport) -> None:
    assert "## Notes" not in report_md(report(), [])


def test_texts_are_deterministic_and_end_in_one_line_end(report: MakeReport) -> None:
    for text in (best_md(report()), report_md(report(), []), candidate_md(WINNER)):
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        assert "\n\n\n" not in text


@pytest.mark.parametrize("instruction", ["```json\n{}\n```", "Answer so:\n```\nx\n```\nNow."])
def test_an_instruction_with_a_fence_of_its_own_stays_in_one_block(instruction: str) -> None:
    text = candidate_md(Candidate({"predict": Prompt(instruction, "turns", "static", 2, "given", DEMOS)}))
    opening = next(line for line in text.splitlines() if line.endswith("text"))
    fence = opening.removesuffix("text")
    assert fence not in instruction, "the fence must be longer than any in the instruction"
    assert f"{opening}\n{instruction}\n{fence}\n" in text
