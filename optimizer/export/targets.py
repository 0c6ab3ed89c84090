"""A prompt as text, messages, a provider's request body, a LangChain template or a promptfoo config."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from optimizer.errors import TaskError
from optimizer.export.code import dspy_module, python_module
from optimizer.export.layout import Layout, Message, Slot, anthropic_body, first_request, layout_of, retrieves
from optimizer.models.providers import is_local
from optimizer.prompt.program import Programs
from optimizer.prompt.saved import SavedPrompt
from optimizer.prompt.values import render

Fill = Callable[[str], str]


@dataclass(frozen=True)
class Export:
    """A prompt in a target's own form; `note` says what its reader must do with it."""

    text: str
    note: str = ""


def export(saved: SavedPrompt, target: str) -> Export:
    """Return a prompt as `target`, one of `TARGETS`.

    Raises TaskError where the target cannot hold it: a prompt whose demos are retrieved for each input needs
    code, and a program of the user's own is held by nothing but text.
    """
    if target == "text":
        return Export(_text(saved))
    if target not in CODE and any(map(retrieves, saved.candidate.prompts.values())):
        what = f"{target} cannot hold this prompt: its demos are chosen anew for each input"
        raise TaskError(what, "Give --to python or --to dspy, which carry the examples that they choose from.")
    return TARGETS[target](saved, layout_of(saved))


def _text(saved: SavedPrompt) -> str:
    parts = []
    for name, prompt in saved.candidate.prompts.items():
        if len(saved.candidate.prompts) > 1:
            parts.append(f"=== {name} ===")
        parts.append(prompt.instruction)
        shown = prompt.demos[::-1] if prompt.order == "reversed" else prompt.demos
        if retrieves(prompt):
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


def _placeholders(saved: SavedPrompt, layout: Layout) -> tuple[dict[str, str], str]:
    """Return a placeholder for each input that stands nowhere in the prompt, and how to use them."""
    constant = "".join(_filled(message, lambda name: "") for message in layout.messages())
    found = {}
    for name in saved.task.inputs:
        mark = f"{{{{{name}}}}}"
        while mark in constant:
            mark = mark.replace("{{", "{{_")
        found[name] = mark
    return found, f"Put the text of each input in the place of {', '.join(found.values())}, all at once."


def _plain_messages(saved: SavedPrompt, layout: Layout) -> tuple[list[dict[str, str]], str]:
    marks, note = _placeholders(saved, layout)
    told = [{"role": one.role, "content": _filled(one, lambda name: marks[name])} for one in layout.messages()]
    return told, note


def _messages(saved: SavedPrompt, layout: Layout) -> Export:
    told, note = _plain_messages(saved, layout)
    return Export(_json(told), note)


def _openai(saved: SavedPrompt, layout: Layout) -> Export:
    told, note = _plain_messages(saved, layout)
    body = {"model": layout.body["model"], "messages": told}
    return Export(_json({**body, **layout.body}), f"{note} Then: client.chat.completions.create(**body).")


def _anthropic(saved: SavedPrompt, layout: Layout) -> Export:
    marks, note = _placeholders(saved, layout)
    program = Programs(saved.task, (), _none).build(saved.candidate)
    body = anthropic_body(saved.model, first_request(program, saved.model, marks))
    body["max_tokens"] = layout.body.get("max_tokens", body.get("max_tokens"))
    # Anthropic's own client takes no temperature as an argument from its version 2 on.
    call = 'client.messages.create(extra_body={"temperature": body.pop("temperature")}, **body)'
    return Export(_json(body), f"{note} Then: {call if 'temperature' in body else 'client.messages.create(**body)'}.")


def _langchain(saved: SavedPrompt, layout: Layout) -> Export:
    roles = {"user": "human", "assistant": "ai"}

    def constant(text: str) -> str:
        return text.replace("{", "{{").replace("}", "}}")

    told = [
        (roles.get(one.role, one.role), _filled(one, lambda name: f"{{{name}}}", constant)) for one in layout.messages()
    ]
    lines = "".join(f"        {pair!r},\n" for pair in told)
    text = (
        '"""A prompt that metier found, for LangChain: prompt.invoke({…}) fills it in."""\n\n'
        "from langchain_core.prompts import ChatPromptTemplate\n\n"
        f"prompt = ChatPromptTemplate.from_messages(\n    [\n{lines}    ]\n)\n"
    )
    return Export(text, f"Inputs, as text: {', '.join(saved.task.inputs)}.")


def _promptfoo(saved: SavedPrompt, layout: Layout) -> Export:
    told = [{"role": one.role, "content": _filled(one, "{{{{ {} }}}}".format, _nunjucks)} for one in layout.messages()]
    config = {key: layout.body[key] for key in ("temperature", "max_tokens") if key in layout.body}
    if saved.model.api_base is not None:
        config["apiBaseUrl"] = saved.model.api_base
    model = "local" if is_local(saved.model.model) else layout.body["model"]
    data = {
        "description": f"{saved.task.name}, exported by metier",
        "prompts": [{"id": saved.candidate.id, "label": saved.task.name, "raw": json.dumps(told, ensure_ascii=False)}],
        "providers": [{"id": f"openai:chat:{model}", "config": config}],
        "tests": [{"vars": dict.fromkeys(saved.task.inputs, "…")}],
    }
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)
    return Export(text, "Save it as promptfooconfig.yaml, and write your own tests in it.")


def _nunjucks(text: str) -> str:
    """Return text that Nunjucks, which promptfoo renders with, leaves as it is."""
    for opening in ("{{", "{%", "{#"):
        text = text.replace(opening, f"\0{opening}\0")
    pieces = text.split("\0")
    return "".join(f'{{{{ "{piece}" }}}}' if place % 2 else piece for place, piece in enumerate(pieces))


def _python(saved: SavedPrompt, layout: Layout) -> Export:
    return Export(python_module(saved, layout), "Call its messages(…) with the task's inputs.")


def _dspy(saved: SavedPrompt, layout: Layout) -> Export:
    return Export(dspy_module(saved), "It needs dspy alone: `from prompt import program`.")


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def _none(texts: Any) -> Any:
    raise TaskError("a static prompt needs no embeddings", "Please report this.")


CODE = ("python", "dspy")
TARGETS: Mapping[str, Callable[[SavedPrompt, Layout], Export]] = {
    "messages": _messages,
    "openai": _openai,
    "anthropic": _anthropic,
    "langchain": _langchain,
    "promptfoo": _promptfoo,
    "python": _python,
    "dspy": _dspy,
}
