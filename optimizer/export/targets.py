"""A prompt as text, messages, a provider's request body, a LangChain template or a promptfoo config."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from optimizer.config.schema import is_local
from optimizer.errors import TaskError
from optimizer.export.code import dspy_module, python_module
from optimizer.export.steps import dspy_steps, python_steps
from optimizer.export.template import Message, Slot, Template, request_to_anthropic, template_of
from optimizer.prompt.saved import SavedPrompt
from optimizer.prompt.values import render

Fill = Callable[[str], str]
One = Callable[[SavedPrompt, Template], "Export"]
Several = Callable[[SavedPrompt, Mapping[str, Template]], "Export"]


@dataclass(frozen=True)
class Export:
    """A prompt in a target's own form; `note` says what its reader must do with it."""

    text: str
    note: str = ""


class Retrieves(TaskError):
    """The target cannot hold demos that are chosen anew for each input."""


def export(saved: SavedPrompt, target: str, predictor: str | None = None) -> Export:
    """Return a prompt as `target`, `text` or one of `TARGETS`; of a program's prompts all, or one `predictor`'s.

    Raises TaskError where the target cannot hold it: a prompt whose demos are retrieved for each input needs
    code, and promptfoo makes one call a test.
    """
    names = _asked(saved, predictor)
    if target == "text":
        return Export(_text(saved, names))
    if target not in CODE and any(saved.candidate.prompts[name].retrieves for name in names):
        what = f"{target} cannot hold this prompt: its demos are chosen anew for each input"
        raise Retrieves(what, "Give --to python or --to dspy, which carry the examples that they choose from.")
    if target == "dspy":
        return _dspy(saved, predictor)
    templates_by_name = {name: template_of(saved, name) for name in names}
    if saved.task.program is not None and predictor is None:
        return STEPS[target](saved, templates_by_name)
    return TARGETS[target](saved, templates_by_name[names[0]])


def _asked(saved: SavedPrompt, predictor: str | None) -> list[str]:
    names = list(saved.candidate.prompts)
    if predictor is not None and predictor not in names:
        raise TaskError(f"the prompt has no predictor '{predictor}'", f"Its predictors: {', '.join(names)}.")
    return names if predictor is None else [predictor]


def _text(saved: SavedPrompt, names: list[str]) -> str:
    parts = []
    for name in names:
        prompt = saved.candidate.prompts[name]
        if len(names) > 1:
            parts.append(f"=== {name} ===")
        parts.append(prompt.instruction)
        shown = prompt.shown
        if prompt.retrieves:
            parts.append(
                f"[{prompt.count} of these examples, {prompt.policy} to each input, in format {prompt.format}:]"
            )
            shown = saved.task.train
        for demo in shown:
            parts.append(
                "\n".join(f"{field}: {render(value)}" for field, value in {**demo.inputs, **demo.outputs}.items())
            )
    return "\n\n".join(parts) + "\n"


def _filled(message: Message, slot: Fill, constant: Fill = str) -> str:
    return "".join(slot(piece.name) if isinstance(piece, Slot) else constant(piece) for piece in message.pieces)


def _placeholders(template: Template) -> dict[str, str]:
    """Return a placeholder for each input that stands nowhere in the prompt."""
    constant = "".join(_filled(message, lambda name: "") for message in template.messages())
    found = {}
    for name in template.inputs:
        mark = f"{{{{{name}}}}}"
        while mark in constant:
            mark = mark.replace("{{", "{{_")
        found[name] = mark
    return found


def _messages(saved: SavedPrompt, template: Template, marks: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"role": one.role, "content": _filled(one, lambda name: marks[name])} for one in template.messages()]


def _openai(saved: SavedPrompt, template: Template, marks: Mapping[str, str]) -> dict[str, Any]:
    return {"model": template.body["model"], "messages": _messages(saved, template, marks), **template.body}


def _anthropic(saved: SavedPrompt, template: Template, marks: Mapping[str, str]) -> dict[str, Any]:
    body = request_to_anthropic(saved, template, marks)
    body["max_tokens"] = template.body.get("max_tokens", body.get("max_tokens"))
    return body


def _call(target: str, body: Any) -> str:
    """Return how a body is sent by the client that it is for."""
    if target == "openai":
        return " Then: client.chat.completions.create(**body)."
    if target == "anthropic" and "temperature" in body:
        # Anthropic's own client takes no temperature as an argument from its version 2 on.
        return ' Then: client.messages.create(extra_body={"temperature": body.pop("temperature")}, **body).'
    return " Then: client.messages.create(**body)." if target == "anthropic" else ""


def _as_json(target: str) -> One:
    def one(saved: SavedPrompt, template: Template) -> Export:
        marks = _placeholders(template)
        body = BODIES[target](saved, template, marks)
        note = f"Put the text of each input in the place of {', '.join(marks.values())}, all at once."
        return Export(_json(body), note + _call(target, body))

    return one


def _as_json_steps(target: str) -> Several:
    def several(saved: SavedPrompt, templates_by_name: Mapping[str, Template]) -> Export:
        told: list[dict[str, Any]] = []
        for name, template in templates_by_name.items():
            marks = _placeholders(template)
            body = BODIES[target](saved, template, marks)
            held = "messages" if target == "messages" else "body"
            told.append({"predictor": name, "inputs": marks, "outputs": list(template.outputs), held: body})
        note = f"For each call put the text of a predictor's inputs in the place of their marks, all at once. {_YOURS}"
        return Export(_json(told), note + _call(target, body))

    return several


def _langchain(saved: SavedPrompt, template: Template) -> Export:
    text = f"{_LANGCHAIN.format('A prompt', 'prompt')}prompt = {_template(template)}\n"
    return Export(text, f"Inputs, as text: {', '.join(template.inputs)}.")


def _langchain_steps(saved: SavedPrompt, templates_by_name: Mapping[str, Template]) -> Export:
    lines = "".join(f"prompts[{name!r}] = {_template(template)}\n" for name, template in templates_by_name.items())
    told = "; ".join(f"{name}: {', '.join(template.inputs)}" for name, template in templates_by_name.items())
    text = f"{_LANGCHAIN.format('The prompts', 'prompts[predictor]')}prompts = {{}}\n{lines}"
    return Export(text, f"Inputs, as text, of {told}. {_YOURS}")


def _template(template: Template) -> str:
    roles = {"user": "human", "assistant": "ai"}

    def constant(text: str) -> str:
        return text.replace("{", "{{").replace("}", "}}")

    told = [
        (roles.get(one.role, one.role), _filled(one, lambda name: f"{{{name}}}", constant))
        for one in template.messages()
    ]
    lines = "".join(f"        {pair!r},\n" for pair in told)
    return f"ChatPromptTemplate.from_messages(\n    [\n{lines}    ]\n)"


def _promptfoo(saved: SavedPrompt, template: Template) -> Export:
    told = [
        {"role": one.role, "content": _filled(one, "{{{{ {} }}}}".format, _nunjucks)} for one in template.messages()
    ]
    name = saved.task.name if saved.task.program is None else f"{saved.task.name}, {template.predictor}"
    config = {key: value for key, value in template.body.items() if key != "model"}
    if "max_completion_tokens" in config:  # read for reasoning models alone, `max_tokens` for all others
        config["max_tokens"] = config["max_completion_tokens"]
    if saved.model.api_base is not None:
        config["apiBaseUrl"] = saved.model.api_base
    model = "local" if is_local(saved.model.model) else template.body["model"]
    data = {
        "description": f"{name}, exported by metier",
        "prompts": [{"id": saved.candidate.id, "label": name, "raw": json.dumps(told, ensure_ascii=False)}],
        "providers": [{"id": f"openai:chat:{model}", "config": config}],
        "tests": [{"vars": dict.fromkeys(template.inputs, "…")}],
    }
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)
    return Export(text, "Save it as promptfooconfig.yaml, and write your own tests in it.")


def _nunjucks(text: str) -> str:
    """Return text that Nunjucks, which promptfoo renders with, leaves as it is."""
    return _READ_BY_NUNJUCKS.sub(lambda found: f'{{{{ "{found.group()}" }}}}', text)


def _no_promptfoo(saved: SavedPrompt, templates_by_name: Mapping[str, Template]) -> Export:
    names = ", ".join(templates_by_name)
    what = f"promptfoo makes one call a test, and this program has its own steps (predictors: {names})"
    raise TaskError(what, "Test one of them, with --predictor NAME; --to python and --to dspy hold them all.")


def _python(saved: SavedPrompt, template: Template) -> Export:
    return Export(python_module(template), "Call its messages(…) with the task's inputs.")


def _python_steps(saved: SavedPrompt, templates_by_name: Mapping[str, Template]) -> Export:
    told = "; ".join(f"messages({name!r}, {', '.join(one.inputs)})" for name, one in templates_by_name.items())
    return Export(python_steps(templates_by_name), f"Call {told}. {_YOURS}")


def _dspy(saved: SavedPrompt, predictor: str | None) -> Export:
    if saved.task.program is None:
        return Export(dspy_module(saved), "It needs dspy alone: `from prompt import program`.")
    if predictor is not None:
        raise TaskError("dspy takes the prompts of the whole program", "Leave --predictor out.")
    note = "Put the prompts into your own program: `from prompt import tuned`, then `program = tuned(build())`."
    return Export(dspy_steps(saved), note.replace("build", saved.task.program.rpartition(":")[2]))


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


_LANGCHAIN = (
    '"""{} that metier found, for LangChain: {}.invoke({{…}}) fills it in."""\n\n'
    "from langchain_core.prompts import ChatPromptTemplate\n\n"
)
# What opens a tag, a brace that would open one with the slot after it, and an end of a comment that was not begun.
_READ_BY_NUNJUCKS = re.compile(r"\{[{%#]|\{\Z|#\}")
_YOURS = "What the program does between its calls stays yours to write."
CODE = ("python", "dspy")
BODIES: Mapping[str, Callable[[SavedPrompt, Template, Mapping[str, str]], Any]] = {
    "messages": _messages,
    "openai": _openai,
    "anthropic": _anthropic,
}
TARGETS: Mapping[str, One] = {
    **{target: _as_json(target) for target in BODIES},
    "langchain": _langchain,
    "promptfoo": _promptfoo,
    "python": _python,
}
STEPS: Mapping[str, Several] = {
    **{target: _as_json_steps(target) for target in BODIES},
    "langchain": _langchain_steps,
    "promptfoo": _no_promptfoo,
    "python": _python_steps,
}
