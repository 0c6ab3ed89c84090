from __future__ import annotations

import json
import re
import string
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from dspy.utils.exceptions import AdapterParseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import Environment
from support.jobs import BagOfWords, lighten

from optimizer.config.models import ModelConfig
from optimizer.errors import TaskError
from optimizer.export.bias import CannotHold
from optimizer.export.targets import TARGETS, export, holds
from optimizer.export.template import first_request, openai_body
from optimizer.prompt.saved import SavedPrompt
from optimizer.task.metrics.build import build_metric
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task
from optimizer.testing.fake_server import FakeServer
from optimizer.types import Candidate, Example, Prompt

# Of the tokens of an answer, when the prompt was scored.
LIMIT = 77
FORMATS = ("turns", "fields", "block", "chat", "json", "xml")
HOSTILE = '{{text}} {x} {%raw%} {# #} "\'\\ \n```</s> %s $y «é漢🙂» [[ ## text ## ]] """'
# What a slot is filled with must come out as it is; the prompt's own edges are stripped by DSPy, not by us.
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(
    lambda text: text == text.strip()
)


def saved(
    format_name: str, policy: str = "static", count: int = 2, order: str = "given", **changes: Any
) -> SavedPrompt:
    outputs = {"kind": FieldSpec(choices=("fruit", "metal"), desc="the kind")}
    train = tuple(
        Example({"text": f"store {n} {HOSTILE}", "place": f"place {n}"}, {"kind": ("fruit", "metal")[n % 2]})
        for n in range(5)
    )
    static = policy == "static"
    prompt = Prompt(changes.get("instruction", f"Sort it. {HOSTILE}"), format_name, policy, count, order)  # type: ignore[arg-type]
    prompt = replace(prompt, demos=train[:count] if static else ())
    task = Task.from_parts(
        name='a """ task\n{{x}}',
        description="",
        instruction=prompt.instruction,
        inputs={"text": FieldSpec(desc="a sentence"), "place": FieldSpec()},
        outputs=outputs,
        train=() if static else train,
        validation=(),
        test=(),
        metric=build_metric("exact_match", outputs, Path()),
        folder=Path(),
    )
    return SavedPrompt(
        task, Candidate({"predict": prompt}), ModelConfig(model="openai/gpt-x", temperature=0.3, max_tokens=LIMIT)
    )


@contextmanager
def without_libraries(chat_template: Any) -> Iterator[None]:
    """Stand in for the embedder and, with `chat_template`, for LangChain's class: an exported file imports both."""
    with pytest.MonkeyPatch.context() as patch:
        lighten(patch.setattr)
        module = types.ModuleType("sentence_transformers")
        module.SentenceTransformer = _Sentences  # type: ignore[attr-defined]
        patch.setitem(sys.modules, "sentence_transformers", module)
        core, prompts = types.ModuleType("langchain_core"), types.ModuleType("langchain_core.prompts")
        prompts.ChatPromptTemplate = chat_template  # type: ignore[attr-defined]
        patch.setitem(sys.modules, "langchain_core", core)
        patch.setitem(sys.modules, "langchain_core.prompts", prompts)
        yield


@pytest.fixture(scope="module", autouse=True)
def _light() -> Iterator[None]:
    with without_libraries(_LangChain):
        yield


class _Sentences:
    def __init__(self, name: str, **options: Any) -> None:
        assert "minilm" in name.lower()

    def encode(self, texts: Sequence[str], **options: Any) -> Any:
        assert options["normalize_embeddings"]
        return BagOfWords()(texts)


class _LangChain:
    """What LangChain's template does with its default f-string format."""

    @classmethod
    def from_messages(cls, pairs: list[tuple[str, str]]) -> _LangChain:
        made = cls()
        made.pairs = pairs
        return made

    pairs: list[tuple[str, str]]

    def messages(self, inputs: dict[str, str]) -> list[dict[str, str]]:
        roles = {"human": "user", "ai": "assistant", "system": "system"}
        return [
            {"role": roles[role], "content": string.Formatter().vformat(text, (), inputs)} for role, text in self.pairs
        ]


def run(code: str) -> dict[str, Any]:
    """Run an exported module as a file would be."""
    module = types.ModuleType("exported")
    sys.modules["exported"] = module  # dataclasses look their module up
    exec(compile(code, "exported.py", "exec"), module.__dict__)
    return module.__dict__


def ours(prompt: SavedPrompt, inputs: dict[str, str]) -> dict[str, Any]:
    return openai_body(prompt.model, first_request(prompt.program, prompt.model, inputs))


def fill(text: str, inputs: dict[str, str]) -> str:
    mark = re.compile("|".join(rf"\{{\{{_*{name}\}}\}}" for name in inputs))
    return mark.sub(lambda found: inputs[found.group().strip("{}_")], text)


def of_messages(prompt: SavedPrompt, inputs: dict[str, str]) -> Any:
    made = export(prompt, "messages")
    marks = dict(zip(inputs, re.findall(r"\{\{_*\w+\}\}", made.note), strict=True))
    either = re.compile("|".join(map(re.escape, marks.values())))
    back = {mark: inputs[name] for name, mark in marks.items()}
    return [
        {**one, "content": either.sub(lambda found: back[found.group()], one["content"])}
        for one in json.loads(made.text)
    ]


def of_promptfoo(prompt: SavedPrompt, inputs: dict[str, str]) -> Any:
    data = yaml.safe_load(export(prompt, "promptfoo").text)
    # Jinja2 reads expressions as Nunjucks does; both without escaping.
    nunjucks = Environment(autoescape=False, keep_trailing_newline=True)
    raw = json.loads(data["prompts"][0]["raw"])
    return [{**one, "content": nunjucks.from_string(one["content"]).render(inputs)} for one in raw]


def of_langchain(prompt: SavedPrompt, inputs: dict[str, str]) -> Any:
    return run(export(prompt, "langchain").text)["prompt"].messages(inputs)


def of_python(prompt: SavedPrompt, inputs: dict[str, str]) -> Any:
    code = export(prompt, "python").text
    assert "import optimizer" not in code
    assert "import dspy" not in code
    return run(code)["messages"](**inputs)


def of_dspy(prompt: SavedPrompt, inputs: dict[str, str]) -> Any:
    code = export(prompt, "dspy").text
    assert "optimizer" not in code
    assert "pickle" not in code
    program = run(code)["program"]
    return openai_body(prompt.model, first_request(program, prompt.model, inputs))["messages"]


STATIC = {
    "messages": of_messages,
    "promptfoo": of_promptfoo,
    "langchain": of_langchain,
    "python": of_python,
    "dspy": of_dspy,
}
INPUTS = {"text": f"a store {HOSTILE}.", "place": "{{text}} {place} there"}


@pytest.mark.parametrize("order", ["given", "reversed"])
@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("target", STATIC)
def test_a_static_prompt_renders_the_same_messages(target: str, format_name: str, order: str) -> None:
    prompt = saved(format_name, order=order)
    assert STATIC[target](prompt, INPUTS) == ours(prompt, INPUTS)["messages"]


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_prompt_without_demos_renders_the_same_messages(format_name: str) -> None:
    prompt = saved(format_name, count=0)
    for target in STATIC.values():
        assert target(prompt, INPUTS) == ours(prompt, INPUTS)["messages"]


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("policy", ["nearest", "diverse"])
def test_a_retrieving_prompt_goes_with_its_pool_where_there_is_code(policy: str, format_name: str) -> None:
    prompt = saved(format_name, policy, 3, "reversed")
    for text in ("store 3 and store 1", "place", "store 0"):
        inputs = {**INPUTS, "text": text}
        expected = ours(prompt, inputs)["messages"]
        assert of_python(prompt, inputs) == expected
        assert of_dspy(prompt, inputs) == expected


@pytest.mark.parametrize("target", ["python", "dspy"])
def test_the_order_in_which_inputs_are_given_does_not_change_what_is_nearest(target: str) -> None:
    code = run(export(saved("turns", "nearest", 3), target).text)
    texts: list[str] = []
    code["POOL"]._retrieve = lambda prompt, text: texts.append(text) or [0]
    for inputs in ({"text": "store 3", "place": "place 2"}, {"place": "place 2", "text": "store 3"}):
        code["_chosen" if target == "python" else "_demos"](inputs)
    assert texts == ["store 3\nplace 2"] * 2


@pytest.mark.parametrize("target", sorted({*TARGETS} - {"python"}))
def test_a_retrieving_prompt_is_refused_where_it_would_be_wrong(target: str) -> None:
    with pytest.raises(TaskError, match="demos are chosen anew for each input") as problem:
        export(saved("turns", "nearest"), target)
    assert "--to python or --to dspy" in problem.value.remedy


def together(*formats: str, **changes: Any) -> SavedPrompt:
    """Return prompts that answer together: the first retrieves demos, the others have the first two examples."""
    made = saved(formats[0], "nearest", 3, **changes)
    first, shown = made.candidate.prompts["predict"], made.task.train[:2]
    others = tuple(Prompt("Sort it.", name, "static", 2, "reversed", shown) for name in formats[1:])
    return SavedPrompt(made.task, Candidate({"predict": replace(first, ensemble=others)}), made.named)


@pytest.mark.parametrize("target", ["text", *sorted({*TARGETS} - {"python"})])
def test_prompts_that_answer_together_are_refused_where_nothing_joins_them(target: str) -> None:
    prompt = together("turns", "fields", "block")
    with pytest.raises(CannotHold, match=f"{target} cannot hold this prompt: 3 prompts answer together") as problem:
        export(prompt, target)
    assert "--to python or --to dspy, which carry them all" in problem.value.remedy
    assert "load_prompt(best.json) runs them all" in problem.value.remedy
    assert not holds(target, prompt.candidate)


@pytest.mark.parametrize("target", ["python", "dspy"])
@pytest.mark.parametrize(
    "metric",
    [
        *("token_f1", "rouge", "bleu", "chrf", {"name": "regex", "pattern": ".*"}),
        {"name": "composite", "parts": {"token_f1": {}}},
        {"name": "json_fields", "fields": {"a": "token_f1"}},
    ],
)
def test_a_metric_that_no_file_carries_is_refused_by_name(target: str, metric: Any) -> None:
    prompt = together("turns", "fields")
    is_json = isinstance(metric, dict) and metric["name"] == "json_fields"
    outputs = {name: FieldSpec(type="json" if is_json else "str") for name in prompt.task.outputs}
    scored_by = build_metric(metric, outputs, Path())
    task = prompt.task.changed(outputs=outputs, metric=scored_by)
    several = SavedPrompt(task, prompt.candidate, prompt.named)
    what = f"{target} cannot hold this prompt: 2 prompts answer together and agree by the metric {scored_by.name}"
    with pytest.raises(CannotHold, match=what) as problem:
        export(several, target)
    assert "load_prompt(best.json) runs them all" in problem.value.remedy
    assert not holds(target, prompt.candidate, scored_by)
    assert holds(target, prompt.candidate, prompt.task.metric)


def test_a_file_on_the_standard_library_reads_no_answers_of_dspys_formats() -> None:
    prompt = together("turns", "chat", "json")
    with pytest.raises(CannotHold, match="DSPy alone reads answers in the format chat, json") as problem:
        export(prompt, "python")
    assert "--to dspy" in problem.value.remedy
    assert (holds("python", prompt.candidate), holds("dspy", prompt.candidate)) == (False, True)
    assert run(export(prompt, "dspy").text)["program"]
    assert holds("python", together("turns", "fields").candidate)


@pytest.mark.parametrize("target", ["python", "dspy", "text"])
def test_prompts_that_answer_together_in_a_program_of_the_users_are_refused(target: str) -> None:
    prompt = together("turns", "fields")
    own = SavedPrompt(prompt.task.changed(program="program.py:build"), prompt.candidate, prompt.named)
    with pytest.raises(CannotHold, match="2 prompts answer together in a program of your own"):
        export(own, target)


def test_prompts_that_answer_together_are_asked_as_they_would_be_alone() -> None:
    prompt = together("block", "fields", "turns", "block")
    code = run(export(prompt, "python").text)
    inputs = {"place": INPUTS["place"], "text": INPUTS["text"]}  # in another order: what is nearest is the same
    for body, one in zip(code["requests"](**inputs), prompt.candidate.prompts["predict"].asked, strict=True):
        alone = SavedPrompt(prompt.task, Candidate({"predict": one}), prompt.named)
        assert body == ours(alone, INPUTS)


@pytest.mark.parametrize("said", [("Kind: metal", "fruit", "Metal."), ("?", "fruit", ""), ("?", "", "who knows")])
def test_several_outputs_come_by_name(said: tuple[str, ...]) -> None:
    import dspy

    prompt = together("turns", "fields", "block")
    outputs = {"kind": FieldSpec(choices=("fruit", "metal")), "why": FieldSpec()}
    train = tuple(replace(one, outputs={**one.outputs, "why": "so"}) for one in prompt.task.train)
    shown = [replace(one, demos=()) for one in prompt.candidate.prompts["predict"].asked]
    candidate = Candidate({"predict": replace(shown[0], ensemble=tuple(shown[1:]))})
    wider = SavedPrompt(prompt.task.changed(outputs=outputs, train=train), candidate, prompt.named)
    texts = [f"Kind: {kind}\nWhy: {number}" for number, kind in enumerate(said)]
    replies = [{"choices": [{"message": {"content": text}}]} for text in texts]
    found = run(export(wider, "python").text)["answer"](replies)
    waiting = iter(texts)
    with FakeServer(lambda messages: next(waiting)) as server:
        lm = dspy.LM("openai/fake", api_base=server.api_base, api_key="none", cache=False, num_retries=0)
        with dspy.context(lm=lm, disable_history=True):
            try:
                expected = dict(run(export(wider, "dspy").text)["program"](**INPUTS).items())
            except AdapterParseError:
                expected = None
    assert found == expected


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(format_name=st.sampled_from(FORMATS), instruction=WORDS, text=WORDS, place=WORDS)
def test_any_words_come_out_as_they_went_in(format_name: str, instruction: str, text: str, place: str) -> None:
    prompt = saved(format_name, instruction=instruction)
    inputs = {"text": text, "place": place}
    expected = ours(prompt, inputs)["messages"]
    for target in (of_messages, of_promptfoo, of_langchain, of_python):
        assert target(prompt, inputs) == expected


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_request_body_is_the_one_that_is_posted(format_name: str) -> None:
    prompt = saved(format_name)
    expected = ours(prompt, INPUTS)
    body = json.loads(export(prompt, "openai").text)
    assert {**body, "messages": of_messages(prompt, INPUTS)} == expected
    assert body["model"] == "gpt-x"
    assert body["temperature"] == 0.3
    assert run(export(prompt, "python").text)["request"](**INPUTS) == expected


@pytest.mark.parametrize("format_name", FORMATS)
def test_anthropics_body_says_the_same(format_name: str) -> None:
    prompt = saved(format_name, instruction="Sort it.")
    body, plain = json.loads(export(prompt, "anthropic").text), json.loads(export(prompt, "messages").text)
    said = [one for one in plain if one["role"] != "system"]
    assert [one["role"] for one in body["messages"]] == [one["role"] for one in said]
    for mine, theirs in zip(body["messages"], said, strict=True):
        text = mine["content"] if isinstance(mine["content"], str) else "".join(p["text"] for p in mine["content"])
        assert text == theirs["content"]
    system = "".join(one["content"] for one in plain if one["role"] == "system")
    told = body.get("system", "")
    assert (told if isinstance(told, str) else "".join(part["text"] for part in told)) == system
    assert body["max_tokens"] == LIMIT


@pytest.mark.parametrize("said", ["Metal.", "Kind: metal", "it is a fruit", '{"kind": "metal"}', "neither"])
@pytest.mark.parametrize("format_name", FORMATS)
def test_an_exported_dspy_program_reads_answers_as_ours_does(format_name: str, said: str) -> None:
    import dspy

    prompt = saved(format_name)
    program = run(export(prompt, "dspy").text)["program"]
    with FakeServer(lambda messages: said) as server:
        lm = dspy.LM("openai/fake", api_base=server.api_base, api_key="none", cache=False, num_retries=0)
        with dspy.context(lm=lm, disable_history=True):
            assert answer(program) == answer(prompt.program)
        assert server.count == 2
        assert [body["max_completion_tokens"] for body in server.requests if "max_completion_tokens" in body] == [LIMIT]


def answer(program: Any) -> str:
    """Return what a program makes of the model's words, or that it cannot read them."""
    try:
        return str(program(**INPUTS).kind)
    except AdapterParseError:
        return "unreadable"


def test_text_is_for_people() -> None:
    told = export(saved("turns", instruction="Sort it."), "text").text
    assert told.startswith("Sort it.\n\ntext: store 0")
    assert "kind: fruit" in told
    assert (
        "[3 of these examples, nearest to each input, in format block:]"
        in export(saved("block", "nearest", 3), "text").text
    )


@pytest.mark.parametrize("format_name", FORMATS)
def test_promptfoo_is_told_how_the_model_is_called(format_name: str) -> None:
    prompt = saved(format_name)
    posted = ours(prompt, INPUTS)
    (provider,) = yaml.safe_load(export(prompt, "promptfoo").text)["providers"]
    assert provider["id"] == f"openai:chat:{posted['model']}"
    told = {key: value for key, value in posted.items() if key not in {"model", "messages"}}
    assert provider["config"] == {**told, "max_tokens": LIMIT}
    assert told["max_completion_tokens"] == LIMIT
