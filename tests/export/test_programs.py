"""A program with several predictors, in each target: what its steps ask there, and what it answers."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.jobs import BagOfWords, make_task, rule

from optimizer.config.models import ModelConfig
from optimizer.errors import TaskError
from optimizer.export.bias import CannotHold
from optimizer.export.targets import TARGETS, export
from optimizer.export.template import first_request, openai_body
from optimizer.prompt.program import Programs
from optimizer.prompt.saved import SavedPrompt, dump_prompt, load_prompt
from optimizer.task.load import load_task
from optimizer.testing.fake_server import FakeServer, Messages, text_of
from optimizer.types import Candidate, Example, Prompt

from .test_targets import HOSTILE, run, without_libraries

pytestmark = pytest.mark.timeout(120)
FORMATS = ("turns", "fields", "block", "chat", "json", "xml")
PROGRAM = '''
import dspy


class Twice(dspy.Module):
    """Names the kind, then says it again from the kind and the text."""

    def __init__(self):
        super().__init__()
        self.first = dspy.Predict("text -> kind")
        self.again = dspy.ChainOfThought("hint, text -> kind")

    def forward(self, text):
        return self.again(hint=self.first(text=text).kind, text=text)


def build():
    return Twice()
'''
QUESTIONS = [f"the {n} low store has {word}" for n in range(10) for word in ("apple", "iron", "owl", "zinc", "pear")]
INPUTS = {
    "first": {"text": f"store {HOSTILE}."},
    "again.predict": {"hint": "{{text}} {hint}", "text": f"low {HOSTILE}"},
}


@pytest.fixture(scope="module", autouse=True)
def _light() -> Iterator[None]:
    with without_libraries(types.SimpleNamespace(from_messages=list)):
        yield


def made(folder: Path, formats: tuple[str, str], policy: str = "static", api_base: str | None = None) -> SavedPrompt:
    """Return a saved prompt of the program above; with a `policy` its first step retrieves the demos."""
    place = make_task(folder / "task", program="program.py:build", outputs={"kind": {}}, metric="exact_match")
    (place / "program.py").write_text(PROGRAM)
    task = load_task(place)
    shown = task.train[:12] if policy == "static" else ()
    hinted = tuple(
        Example({"hint": f"a {n}", "text": f"the {n} {HOSTILE}"}, {"reasoning": "so", "kind": "metal"})
        for n in range(2)
    )
    prompts = {
        "first": Prompt(f"Sort it. {HOSTILE}", formats[0], policy, 12, "given", shown),  # type: ignore[arg-type]
        "again.predict": Prompt("Say it again.", formats[1], "static", 2, "reversed", hinted),  # type: ignore[arg-type]
    }
    path = folder / "best.json"
    model = ModelConfig(model="openai/fake", api_base=api_base, temperature=0.0)
    path.write_text(dump_prompt(task, Candidate(prompts), model, {}))
    return load_prompt(path, trust=True)


def ours(saved: SavedPrompt, name: str) -> dict[str, Any]:
    """Return what the saved program's own predictor asks."""
    predictor = dict(saved.program.named_predictors())[name]
    return openai_body(saved.model, first_request(predictor, saved.model, INPUTS[name]))


def of_json(saved: SavedPrompt, target: str, name: str) -> Any:
    (step,) = [one for one in json.loads(export(saved, target).text) if one["predictor"] == name]
    marks = {mark: INPUTS[name][field] for field, mark in step["inputs"].items()}
    either = re.compile("|".join(map(re.escape, marks)))

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return either.sub(lambda found: marks[found.group()], value)
        if isinstance(value, list):
            return [filled(one) for one in value]
        return {key: filled(one) for key, one in value.items()} if isinstance(value, dict) else value

    return filled(step["messages" if target == "messages" else "body"])


def of_langchain(saved: SavedPrompt, name: str) -> Any:
    roles = {"human": "user", "ai": "assistant", "system": "system"}
    pairs = run(export(saved, "langchain").text)["prompts"][name]
    return [{"role": roles[role], "content": text.format(**INPUTS[name])} for role, text in pairs]


@pytest.mark.parametrize(("one", "other"), [*zip(FORMATS, (*FORMATS[1:], FORMATS[0]), strict=True)])
def test_each_step_asks_the_same_in_every_target_that_holds_it(tmp_path: Path, one: str, other: str) -> None:
    saved = made(tmp_path, (one, other))
    code = run(export(saved, "python").text)
    program = run(export(saved, "dspy").text)["tuned"](Programs(saved.task, (), BagOfWords())._base)
    for name in INPUTS:
        body = ours(saved, name)
        assert code["request"](name, **INPUTS[name]) == body
        asked = first_request(dict(program.named_predictors())[name], saved.model, INPUTS[name])
        assert openai_body(saved.model, asked) == body
        assert of_json(saved, "openai", name) == body
        assert of_json(saved, "messages", name) == of_langchain(saved, name) == body["messages"]
        said = of_json(saved, "anthropic", name)["messages"]
        texts = ["".join(part["text"] for part in turn["content"]) for turn in said]
        assert texts == [turn["content"] for turn in body["messages"] if turn["role"] != "system"]


@pytest.mark.parametrize("policy", ["static", "nearest"])
def test_whole_programs_answer_as_load_prompt_does_on_fifty_examples(tmp_path: Path, policy: str) -> None:
    import dspy
    from openai import OpenAI

    def answer(messages: Messages) -> str:
        hints = re.findall(r"Hint: (\w+)", text_of(messages[-1]))
        return f"Reasoning: so\nKind: {hints[-1]}" if hints else rule(messages)

    with FakeServer(answer) as server, OpenAI(base_url=server.api_base, api_key="none") as client:
        saved = made(tmp_path, ("block", "turns"), policy, server.api_base)
        expected = [saved(text=question).kind for question in QUESTIONS]
        assert len(set(expected)) == 3
        program = run(export(saved, "dspy").text)["tuned"](run(PROGRAM)["build"]())
        lm = dspy.LM("openai/fake", api_base=server.api_base, api_key="none", cache=False, temperature=0.0)
        with dspy.context(lm=lm, disable_history=True):
            assert [program(text=question).kind for question in QUESTIONS] == expected
        request = run(export(saved, "python").text)["request"]

        def ask(predictor: str, **inputs: str) -> str:
            reply = client.chat.completions.create(**request(predictor, **inputs))
            return str(reply.choices[0].message.content).rpartition("Kind: ")[2]

        hints = [ask("first", text=question) for question in QUESTIONS]
        again = [ask("again.predict", text=one, hint=hint) for one, hint in zip(QUESTIONS, hints, strict=True)]
        assert again == expected


def test_one_step_alone_goes_where_its_program_cannot(tmp_path: Path) -> None:
    saved = made(tmp_path, ("turns", "chat"))
    with pytest.raises(TaskError, match=r"promptfoo makes one call a test.*predictors: first, again\.predict"):
        export(saved, "promptfoo")
    for name in INPUTS:
        data = yaml.safe_load(export(saved, "promptfoo", name).text)
        assert list(data["tests"][0]["vars"]) == list(INPUTS[name])
        assert data["prompts"][0]["label"] == f"sorting, {name}"
        alone = run(export(saved, "python", name).text)["request"](**INPUTS[name])
        assert alone == ours(saved, name)
    assert export(saved, "text", "first").text.startswith("Sort it.")
    with pytest.raises(TaskError, match="no predictor 'last'") as problem:
        export(saved, "text", "last")
    assert "first, again.predict" in problem.value.remedy
    with pytest.raises(TaskError, match="whole program"):
        export(saved, "dspy", "first")


def test_a_step_that_retrieves_is_refused_where_it_would_be_wrong_and_no_other(tmp_path: Path) -> None:
    saved = made(tmp_path, ("json", "xml"), "diverse")
    for target in sorted({*TARGETS} - {"python"}):
        with pytest.raises(TaskError, match="demos are chosen anew for each input"):
            export(saved, target)
        assert export(saved, target, "again.predict").text


def test_an_input_that_is_no_text_is_refused_but_by_dspy(tmp_path: Path) -> None:
    made(tmp_path, ("turns", "turns"))
    program = tmp_path / "task" / "program.py"
    program.write_text(program.read_text().replace('"hint, text -> kind"', '"hint, text, past: dspy.History -> kind"'))
    for target in TARGETS:
        with pytest.raises(TaskError, match=r"'past' of again\.predict is of type History"):
            export(load_prompt(tmp_path / "best.json", trust=True), target)
    assert "def tuned" in export(load_prompt(tmp_path / "best.json", trust=True), "dspy").text


def test_the_prompts_of_another_program_are_not_put_in(tmp_path: Path) -> None:
    import dspy

    tuned = run(export(made(tmp_path, ("turns", "turns")), "dspy").text)["tuned"]
    with pytest.raises(ValueError, match=r"the predictors \['first', 'again.predict'\]; the program has \['predict'\]"):
        tuned(dspy.ChainOfThought("text -> kind"))


@pytest.mark.parametrize("target", [*TARGETS, "text", "dspy"])
def test_a_readout_of_a_programs_step_is_refused_by_name(target: str, tmp_path: Path) -> None:
    prompt = made(tmp_path, ("turns", "turns"))
    reads = replace(prompt.candidate.prompts["first"], readout="choose")
    saved = SavedPrompt(prompt.task, Candidate({**prompt.candidate.prompts, "first": reads}), prompt.named)
    with pytest.raises(CannotHold, match=f"{target} cannot hold this prompt: its readout is choose, and a program's"):
        export(saved, target)
