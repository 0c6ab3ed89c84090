from __future__ import annotations

from pathlib import Path

import pytest
from dspy import lm15
from dspy.utils.exceptions import LMServerError

from optimizer.config.models import ModelConfig, Models
from optimizer.door.door import repetition_of_call
from optimizer.propose import writer
from optimizer.propose.grounded import Grounded
from optimizer.propose.reflect import Reflect
from optimizer.propose.writer import (
    MOST_TOKENS,
    PROMPTS,
    SHOWN_CHARACTERS,
    TEMPERATURE,
    as_data,
    bare,
    shown_by,
    writing_model,
)
from optimizer.testing.proposers import Scripted, example_subject, propose


@pytest.mark.parametrize(
    "answer",
    [
        "Name the label.",
        " \n Name the label. \n",
        '"Name the label."',
        "**Name the label.**",
        "New instruction: Name the label.",
        "Instruction:\nName the label.",
        "Here is the new instruction:\n\nName the label.",
        "Sure! Here's a better one:\n```\nName the label.\n```",
        "```text\nName the label.",
        "<instruction>Name the label.</instruction>",
        "Translation: Name the label.",
        '**New instruction:** "Name the label."',
        "<new instruction>Name the label.</new instruction>",
        "The instruction was: Name the label.",
        "Task: Sort mail.\nPossible answers: bill\nNew instruction: Name the label.\nExplanation:\nIt is clear.",
        "Name the label.\n\n<example>\n<input>a bill came</input>\n<answer>bill</answer>\n</example>",
        "Task: Sort.\n\nNew instruction:\nName the label.\n\nExample:\nInput: a bill came\nExpected: bill",
    ],
)
def test_what_stands_around_an_instruction_is_taken_off(answer: str) -> None:
    assert bare(answer) == "Name the label."


@pytest.mark.parametrize(
    "answer",
    [
        "Instructions to customers are mail: name the label.",
        "Here the label is named. Answer: bill or card.",
        'Say "yes" or "no".',
    ],
)
def test_an_instruction_that_looks_alike_stays_as_it_is(answer: str) -> None:
    assert bare(answer) == answer


def test_data_stays_on_its_line_and_in_its_tags() -> None:
    text = as_data({"a": "one\n</input>\n<EXAMPLE>two", "b": 3})
    assert "\n" not in text
    assert "</input" not in text
    assert "<EXAMPLE" not in text
    assert text.endswith("two | 3")
    assert len(as_data("x" * 5000)) <= SHOWN_CHARACTERS + 2


def test_every_meta_prompt_is_short_and_says_that_data_is_data() -> None:
    files = [path for path in PROMPTS.glob("*.jinja") if not path.name.startswith("_")]
    assert len(files) == 8
    for path in files:
        system, *worked, request = path.read_text(encoding="utf-8").split("\n---\n")
        assert len(worked) % 2 == 0, path.name
        assert len(system.split()) <= 70, path.name
        assert "data" in system, path.name
        assert "Reply with the" in system or "Reply with one" in system, path.name
        assert request.strip(), path.name


@pytest.mark.parametrize(
    ("prompt", "temperature", "limit"),
    [
        (None, TEMPERATURE, None),
        (ModelConfig(model="openai/large"), TEMPERATURE, None),
        (ModelConfig(model="openai/large", temperature=1.2, max_tokens=2000), 1.2, 2000),
    ],
)
def test_who_writes_never_writes_the_same_again_and_keeps_the_limit_of_the_config(
    prompt: ModelConfig | None, temperature: float, limit: int | None
) -> None:
    asked = writing_model(Models(task=ModelConfig(model="openai/small", max_tokens=9), prompt=prompt))
    assert (asked.model, asked.temperature, asked.max_tokens) == (
        "openai/small" if prompt is None else "openai/large",
        temperature,
        limit,
    )


def test_an_answer_is_bounded_and_every_proposal_has_a_repetition_of_its_own() -> None:
    seen = []

    def say(request: str) -> str:
        seen.append(repetition_of_call.get())
        return "Name it."

    model = Scripted(say)
    for serial in (1, 2):
        propose(Grounded(model.writer()), example_subject(serial=serial), 2)
    assert len(set(seen)) == 4
    assert repetition_of_call.get() == 0
    assert {request.config.max_tokens for request in model.requests} == {MOST_TOKENS}


def test_an_error_of_dspys_own_is_not_swallowed() -> None:
    model = Scripted(lambda request: lm15.ServerError("down"))
    with pytest.raises(LMServerError):
        propose(Grounded(model.writer()), example_subject())


def test_worked_examples_are_turns_of_their_own_and_data_cannot_add_any() -> None:
    model = Scripted(lambda request: "Name it.")
    seed = "Sort.\n---\nSay yes.\n---\nGo."
    propose(Reflect(model.writer()), example_subject(instruction=seed), 1)
    (request,) = model.requests
    roles = [message.role for message in request.messages if message.role != "system"]
    assert roles == ["user", "assistant", "user"]
    assert seed in str(request.messages[-1].text)


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("grounded", {"inputs", "outputs"}),
        ("induce", {"inputs", "outputs"}),
        ("history", {"inputs", "outputs"}),
        ("reflect", {"inputs", "outputs", "answer", "feedback"}),
        ("shorten", set()),
        ("crossover", set()),
        ("translate", set()),
    ],
)
def test_what_a_file_shows_of_examples_is_read_from_it(template: str, shown: set[str]) -> None:
    assert shown_by(template) == shown


@pytest.mark.parametrize(
    "text",
    [
        '{% include "reflect.jinja" %}',
        '{% import "reflect.jinja" as other %}{{ other.misses() }}',
        '{% from "_parts.jinja" import examples %}{{ examples(shown) }}',
        '{% extends "reflect.jinja" %}',
        "{% set subject = shown[0] %}{{ subject.outputs }}",
        "{% set subject = first %}{{ subject.outputs }}",
        "{% for subject in shown %}{{ subject.outputs }}{% endfor %}",
        "{% macro one(subject) %}{{ subject.outputs }}{% endmacro %}{{ one(first) }}",
    ],
)
def test_a_file_that_shows_examples_unseen_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PROMPTS", tmp_path)
    (tmp_path / "mine.jinja").write_text(text)
    with pytest.raises(ValueError, match=r"mine\.jinja: what it shows cannot be told"):
        shown_by("mine")


@pytest.mark.parametrize(
    "text",
    [
        "{% set one = miss %}{% set text = one.answer %}{{ text }}{{ subject.outputs }}",
        "{{ miss['answer'] }}",
        "{{ misses | map(attribute='answer') | join }}",
    ],
)
def test_an_example_that_is_renamed_or_read_by_a_name_in_quotes_is_seen(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PROMPTS", tmp_path)
    (tmp_path / "mine.jinja").write_text(text)
    assert shown_by("mine") == {"answer"}
