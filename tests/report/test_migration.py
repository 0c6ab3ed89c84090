from __future__ import annotations

import json
from dataclasses import replace

import pytest

from optimizer.report.migration import ModelOutcome, advice, markdown, summary

from .migrations import measured, migration, outcome


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (outcome(), "Use the prompt as it is: out/x/best.json"),
        (outcome("moves after tuning"), "Use the tuned prompt"),
        (outcome("do not move", use=None), "loses more than 0.02"),
        (outcome("cannot be told", 1234, use=None), "About 1,234 test examples would tell, by what these 200 show"),
        (outcome("cannot be told", None, use=None), "up to a million"),
        (outcome("cannot be told", 100, use=None), "missing or cut off"),
        (replace(outcome(), registered="prompts:/a@champion is version 1, at x"), "prompts:/a@champion is version 1"),
    ],
)
def test_each_verdict_says_what_to_do(model: ModelOutcome, words: str) -> None:
    assert words in advice(migration(model), model)


def test_where_most_answers_are_missing_that_is_what_is_said() -> None:
    model = replace(outcome("cannot be told", None, use=None), measured=[measured("as it is", 0.0, missing=60)])
    assert "60 of 200 answers never came" in advice(migration(model), model)


def test_the_table_has_a_line_for_each_prompt_and_says_what_is_not_known() -> None:
    lines = summary(migration())
    assert lines[0].startswith("sorting: today's prompt on openai/old scores 0.900 [0.850, 0.940] on 200 test examples")
    today = next(line for line in lines if line.startswith("  today"))
    assert today.split()[-5:] == ["1.5", "0.40", "s", "1.25", "s"]
    tuned = next(line for line in lines if line.startswith("  tuned"))
    assert "not known (3 an answer)" in tuned
    assert "+0.010 [-0.020, +0.040]" in tuned
    assert len({line.index(" s", 60) for line in lines if line.startswith("  today")}) == 1
    assert "  note: a note" in lines


def test_stored_answers_and_notes_are_said_plainly() -> None:
    found = replace(migration(), stored="runs/mine, of 2026-11-30", notes=["today's answers are stored ones"])
    assert "(stored answers of runs/mine, of 2026-11-30)" in summary(found)[0]
    page = markdown(found)
    assert "today's answers are stored ones" in page
    assert "runs/mine, of 2026-11-30" in page


def test_markdown_shows_names_that_others_chose_as_they_are() -> None:
    page = markdown(migration(replace(outcome(), model="openai/<b>|x")))
    assert "openai/\\<b\\>\\|x" in page
    assert "How it was decided" in page


def test_json_holds_all_of_it() -> None:
    data = json.loads(json.dumps(migration().to_json()))
    assert (data["metier"], data["models"][0]["measured"][1]["gain"]["mean"]) == (1, 0.01)
