from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import pytest

from optimizer.ledger.result import Report, Side
from optimizer.ledger.sent import SentPrompt
from optimizer.report.document import document_of
from optimizer.report.gather import Facts
from optimizer.report.markdown import best_md, candidate_md, report_md
from optimizer.types import Calibration, Candidate, Example, Prompt

from .conftest import DEMOS, WINNER

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
    more = f" The demos are chosen for each input, {prompt.count} of the training examples: the instruction alone "
    more += "is not the prompt that was scored."
    words += more if prompt.retrieves else ""
    assert candidate_md(Candidate({"predict": prompt})) == f"## predict\n\n{words}\n\n```text\ni\n```\n"


def test_best_md_shows_a_whole_prompt_as_it_was_sent_and_where_its_demos_come_from(report: MakeReport) -> None:
    winner = Side(Candidate({"predict": Prompt("Do it.", "turns", "nearest", 2)}), 0.75, (0.6, 0.8), 9.0)
    messages = [("system", "Do it."), ("user", "near"), ("assistant", "x"), ("user", "asked"), ("assistant", "```y```")]
    conversation = [{"role": role, "content": content} for role, content in messages]
    text = best_md(report(winner=winner), SentPrompt("validation", "e", [conversation], "683 training examples"))
    assert "The demos are chosen for each input, 2 of 683 training examples: the instruction alone is not" in text
    sent = "[system]\nDo it.\n\n[user]\nnear\n\n[assistant]\nx\n\n[user]\nasked\n\n[the model's answer]\n```y```\n"
    assert f"````text\n{sent}````\n" in text
    assert text.index(sent) < text.index("## The prompt")


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


def test_report_md_tells_scores_cost_and_every_trial(facts: Facts) -> None:
    text = report_md(document_of(facts))
    assert text.startswith("# sorting: improved\n\n**0.500 → 0.917 on 12 test examples (+0.417, ")
    assert "Use the winner: it is better" in text
    for row in ("| seed | 0.500 |", "| winner | 0.917 |", "| 0 (seed) |", "| 3 |", "| search, task |", "| together |"):
        assert row in text
    for heading in ("## The prompt, before and after", "## The search", "## Answers", "## What it cost", "## Trials"):
        assert heading in text
    assert "## Notes\n\n- validation was split off\n" in text


def test_every_row_of_a_table_has_the_heads_columns(facts: Facts) -> None:
    lines = report_md(document_of(facts)).splitlines()
    widths, inside = list[int](), 0
    for line in lines:
        if line.startswith("|"):
            bars = len(re.findall(r"(?<!\\)\|", line))
            assert inside in (0, bars), line
            inside = bars
            widths.append(bars)
        else:
            inside = 0
    assert len(widths) > 40


def test_a_report_without_notes_has_no_heading_for_them(facts: Facts) -> None:
    assert "## Notes" not in report_md(document_of(dataclasses.replace(facts, notes=())))


def test_foreign_text_is_shown_and_has_no_power(facts: Facts) -> None:
    said = "<img src=x onerror=alert(1)> | [a](http://x) **b** # c"
    text = report_md(document_of(dataclasses.replace(facts, task=said, notes=(said,))))
    first = text.splitlines()[0].removeprefix("# ").removesuffix(": improved")
    assert re.sub(r"\\(.)", r"\1", first) == said
    assert not re.search(r"(?<!\\)[<>\[*|]", first)


def test_texts_are_deterministic_and_end_in_one_line_end(report: MakeReport, facts: Facts) -> None:
    for text in (best_md(report()), report_md(document_of(facts)), candidate_md(WINNER)):
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


def test_a_calibration_is_told_with_its_offsets() -> None:
    fitted = Calibration(1.5, (0.5, -0.5), 0.9, ("a|b", "metal"))
    text = candidate_md(Candidate({"predict": Prompt("i", readout="calibrated", calibration=fitted)}))
    assert "Answers are read as the likeliest label after an offset for each, fitted on validation answers." in text
    assert "### How answers are read\n\nTo 1.50 × the log-probability" in text
    assert "| metal | -0.50 | 0.61 | the model favoured it |\n| a\\|b | +0.50 | 1.65 |" in text
