"""A prompt as text, messages, a provider's request body, a LangChain template or a promptfoo config."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from optimizer.config.models import is_local
from optimizer.errors import TaskError
from optimizer.export.bias import CannotHold, Tokenize, bias_body
from optimizer.export.python_files import (
    carries,
    dspy_ensemble_file,
    dspy_file,
    dspy_program_file,
    ensemble_file,
    messages_file,
    program_messages_file,
)
from optimizer.export.template import Message, Slot, Template, request_to_anthropic, template_of
from optimizer.prompt.formats import PLAIN
from optimizer.prompt.saved import SavedPrompt
from optimizer.prompt.values import render
from optimizer.task.metrics.base import Metric
from optimizer.types import Candidate, Prompt

Fill = Callable[[str], str]
Templates = Mapping[str, Template]
Target = Callable[[SavedPrompt, Templates, bool], "Export"]


@dataclass(frozen=True)
class Export:
    """A prompt in a target's own form; `note` says what its reader must do with it."""

    text: str
    note: str = ""


def holds(target: str, candidate: Candidate, metric: Metric | None = None) -> bool:
    """Tell if a target surely holds a candidate: neither its demos nor its readout need code that the target has not.

    `openai` holds some readouts, too; which, only the model's server can tell. By the task's `metric` prompts that
    answer together agree.
    """
    if candidate.together > 1:
        if metric is not None and not carries(metric):
            return False
        return target == "dspy" or (target == "python" and not _marked(candidate))
    return target in CODE or not ((candidate.retrieves and target != "text") or candidate.reads_labels)


def export(saved: SavedPrompt, target: str, predictor: str | None = None, tokenize: Tokenize | None = None) -> Export:
    """Return a prompt as `target`, `text` or one of `TARGETS`; of a program's prompts all, or one `predictor`'s.

    `tokenize` returns the numbers of a text's tokens in the model that answers: `openai` holds a readout with them.
    No target masks personal data: the note says so where the prompt was scored with masks. Raises TaskError where the
    target cannot hold it: a prompt whose demos are retrieved for each input needs code, as does a readout, and
    promptfoo makes one call a test.
    """
    made = _export(saved, target, predictor, tokenize)
    if not saved.privacy.redact:
        return made
    unmasked = (
        f"The prompt was scored with {', '.join(saved.privacy.redact)} masked; this form masks nothing, neither in its "
        "demos nor in what you fill in. optimizer.load_prompt(best.json) does."
    )
    return Export(made.text, f"{made.note} {unmasked}".strip())


def _export(saved: SavedPrompt, target: str, predictor: str | None, tokenize: Tokenize | None) -> Export:
    names = list(saved.candidate.prompts)
    if predictor is not None:
        if predictor not in names:
            raise TaskError(f"the prompt has no predictor '{predictor}'", f"Its predictors: {', '.join(names)}.")
        names = [predictor]
    prompts, whole = [saved.candidate.prompts[name] for name in names], saved.task.program is not None
    if saved.candidate.together > 1:
        return _together(saved, target)
    if target not in CODE and target != "text" and any(prompt.retrieves for prompt in prompts):
        what = f"{target} cannot hold this prompt: its demos are chosen anew for each input"
        raise CannotHold(what, "Give --to python or --to dspy, which carry the examples that they choose from.")
    if (reading := next(filter(_reads, prompts), None)) is not None:
        _check_readout(target, reading, whole)
    if target == "text":
        return Export(_text(saved, names))
    if target == "dspy":
        return _dspy(saved, predictor)
    templates = {name: template_of(saved, name) for name in names}
    if target == "openai" and reading is not None:
        return _biased(saved, next(iter(templates.values())), tokenize)
    return TARGETS[target](saved, templates, whole and predictor is None)


def _together(saved: SavedPrompt, target: str) -> Export:
    """Return several prompts that answer together; raises CannotHold where a target has nothing that joins answers."""
    what = f"{target} cannot hold this prompt: {saved.candidate.together} prompts answer together"
    if saved.task.program is not None:
        raise CannotHold(f"{what} in a program of your own", _LOAD_ALL)
    if target not in CODE:
        raise CannotHold(what, f"Give --to python or --to dspy, which carry them all. {_LOAD_ALL}")
    if target == "python" and (marked := _marked(saved.candidate)):
        why = f"and DSPy alone reads answers in the format {', '.join(marked)}"
        raise CannotHold(f"{what}, {why}", f"Give --to dspy, which carries them all. {_LOAD_ALL}")
    if not carries(saved.task.metric):
        why = f"by the metric {saved.task.metric.name}, with what it is set to, which a file of its own cannot carry"
        raise CannotHold(f"{what} and agree {why}", _LOAD_ALL)
    alone = f" They read labels from what {saved.named.model} says of its tokens."
    alone = alone if saved.candidate.reads_labels else ""
    if target == "dspy":
        return Export(dspy_ensemble_file(saved), f"It needs dspy alone: `from prompt import program`.{alone}")
    note = "Post each of its requests(…), with the task's inputs, and give answer(…) the list of the replies' JSON."
    return Export(ensemble_file(saved), f"{note}{alone}")


def _marked(candidate: Candidate) -> list[str]:
    """Return the formats of a candidate's prompts in which markers stand before an answer's values."""
    return sorted({prompt.format for prompt in candidate.asked} - PLAIN)


def _reads(prompt: Prompt) -> bool:
    """Tell if a prompt's answers are read otherwise than by their words."""
    return prompt.readout != "generate"


def _check_readout(target: str, prompt: Prompt, of_program: bool) -> None:
    """Raise CannotHold where a target has nothing that reads labels from log-probabilities."""
    what = f"{target} cannot hold this prompt: its readout is {prompt.readout}"
    if of_program:
        raise CannotHold(f"{what}, and a program's steps read the words of answers", _LOAD)
    if target not in READING:
        why = "the label is read from the log-probabilities of an answer, not from its words"
        raise CannotHold(f"{what}, so that {why}", f"Give --to python or --to dspy, which carry what reads it. {_LOAD}")


def _biased(saved: SavedPrompt, template: Template, tokenize: Tokenize | None) -> Export:
    """Return a request body whose `logit_bias` makes the one token that is answered the label of the readout."""
    marks = _placeholders(template)
    body = bias_body(template, _body("openai", saved, template, marks), tokenize)
    note = f"Put the text of each input in the place of {', '.join(marks.values())}, all at once."
    words = ", ".join(template.labels.words if template.labels else ())
    alone = f"The answer is one of {words}. Its logit_bias holds for {saved.named.model} alone, as it is served now."
    return Export(_json(body), f"{note}{_call('openai', body)} {alone}")


def _text(saved: SavedPrompt, names: list[str]) -> str:
    parts = []
    for name in names:
        prompt = saved.candidate.prompts[name]
        parts += [f"=== {name} ==="] if len(names) > 1 else []
        parts.append(prompt.instruction)
        shown = prompt.shown
        if prompt.retrieves:
            how = f"{prompt.count} of these examples, {prompt.policy} to each input, in format {prompt.format}"
            parts.append(f"[{how}:]")
            shown = saved.task.train
        parts += [
            "\n".join(f"{field}: {render(value)}" for field, value in {**demo.inputs, **demo.outputs}.items())
            for demo in shown
        ]
    return "\n\n".join(parts) + "\n"


def _filled(message: Message, slot: Fill, constant: Fill = str) -> str:
    return "".join(slot(piece.name) if isinstance(piece, Slot) else constant(piece) for piece in message.pieces)


def _placeholders(template: Template) -> dict[str, str]:
    """Return a placeholder for each input that occurs nowhere in the prompt."""
    constant = "".join(_filled(message, lambda name: "") for message in template.messages())
    marks = {}
    for name in template.inputs:
        mark = f"{{{{{name}}}}}"
        while mark in constant:
            mark = mark.replace("{{", "{{_")
        marks[name] = mark
    return marks


def _json_target(target: str) -> Target:
    """Return the target that writes messages or request bodies as JSON: one, or one for each predictor."""
    key = "messages" if target == "messages" else "body"

    def write(saved: SavedPrompt, templates: Templates, whole: bool) -> Export:
        marks = {name: _placeholders(template) for name, template in templates.items()}
        bodies = {name: _body(target, saved, template, marks[name]) for name, template in templates.items()}
        first = next(iter(templates))
        call = _call(target, bodies[first])
        if not whole:
            note = f"Put the text of each input in the place of {', '.join(marks[first].values())}, all at once."
            return Export(_json(bodies[first]), note + call)
        steps = [
            {"predictor": name, "inputs": marks[name], "outputs": list(template.outputs), key: bodies[name]}
            for name, template in templates.items()
        ]
        note = f"For each call put the text of a predictor's inputs in the place of their marks, all at once. {_YOURS}"
        return Export(_json(steps), note + call)

    return write


def _body(target: str, saved: SavedPrompt, template: Template, marks: Mapping[str, str]) -> Any:
    if target == "anthropic":
        body = request_to_anthropic(saved, template, marks)
        body["max_tokens"] = template.body.get("max_tokens", body.get("max_tokens"))
        return body
    messages = [
        {"role": message.role, "content": _filled(message, lambda name: marks[name])} for message in template.messages()
    ]
    return (
        messages if target == "messages" else {"model": template.body["model"], "messages": messages, **template.body}
    )


def _call(target: str, body: Any) -> str:
    """Return how the client that a body is for sends it."""
    if target == "openai":
        return " Then: client.chat.completions.create(**body)."
    if target == "anthropic" and "temperature" in body:
        # Anthropic's own client takes no temperature as an argument from its version 2 on.
        return ' Then: client.messages.create(extra_body={"temperature": body.pop("temperature")}, **body).'
    return " Then: client.messages.create(**body)." if target == "anthropic" else ""


def _langchain(saved: SavedPrompt, templates: Templates, whole: bool) -> Export:
    if not whole:
        ((_, template),) = templates.items()
        text = f"{_LANGCHAIN.format('A prompt', 'prompt')}prompt = {_chat_template(template)}\n"
        return Export(text, f"Inputs, as text: {', '.join(template.inputs)}.")
    code = "".join(f"prompts[{name!r}] = {_chat_template(template)}\n" for name, template in templates.items())
    inputs = "; ".join(f"{name}: {', '.join(template.inputs)}" for name, template in templates.items())
    text = f"{_LANGCHAIN.format('The prompts', 'prompts[predictor]')}prompts = {{}}\n{code}"
    return Export(text, f"Inputs, as text, of {inputs}. {_YOURS}")


def _chat_template(template: Template) -> str:
    roles = {"user": "human", "assistant": "ai"}

    def constant(text: str) -> str:
        return text.replace("{", "{{").replace("}", "}}")

    pairs = [(roles.get(m.role, m.role), _filled(m, "{{{}}}".format, constant)) for m in template.messages()]
    lines = "".join(f"        {pair!r},\n" for pair in pairs)
    return f"ChatPromptTemplate.from_messages(\n    [\n{lines}    ]\n)"


def _promptfoo(saved: SavedPrompt, templates: Templates, whole: bool) -> Export:
    if whole:
        names = ", ".join(templates)
        what = f"promptfoo makes one call a test, and this program has its own steps (predictors: {names})"
        raise TaskError(what, "Test one of them, with --predictor NAME; --to python and --to dspy hold them all.")
    ((_, template),) = templates.items()
    messages = [{"role": m.role, "content": _filled(m, "{{{{ {} }}}}".format, _nunjucks)} for m in template.messages()]
    name = saved.task.name if saved.task.program is None else f"{saved.task.name}, {template.predictor}"
    config = {key: value for key, value in template.body.items() if key != "model"}
    if "max_completion_tokens" in config:  # promptfoo reads it for reasoning models alone, `max_tokens` for all others
        config["max_tokens"] = config["max_completion_tokens"]
    if saved.model.api_base is not None:
        config["apiBaseUrl"] = saved.model.api_base
    model = "local" if is_local(saved.named.model) else template.body["model"]
    data = {
        "description": f"{name}, exported by metier",
        "prompts": [{"id": saved.candidate.id, "label": name, "raw": json.dumps(messages, ensure_ascii=False)}],
        "providers": [{"id": f"openai:chat:{model}", "config": config}],
        "tests": [{"vars": dict.fromkeys(template.inputs, "…")}],
    }
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)
    return Export(text, "Save it as promptfooconfig.yaml, and write your own tests in it.")


def _nunjucks(text: str) -> str:
    """Return text that Nunjucks, which promptfoo renders with, leaves as it is."""
    return _READ_BY_NUNJUCKS.sub(lambda found: f'{{{{ "{found.group()}" }}}}', text)


def _python(saved: SavedPrompt, templates: Templates, whole: bool) -> Export:
    if not whole:
        template = next(iter(templates.values()))
        note = "Call its messages(…) with the task's inputs."
        if template.labels is not None:
            note = (
                "Post its request(…), with the task's inputs, and give answer(…) the JSON of the reply. "
                f"It reads labels from what {saved.named.model} says of its tokens."
            )
        return Export(messages_file(template), note)
    calls = "; ".join(f"messages({name!r}, {', '.join(one.inputs)})" for name, one in templates.items())
    return Export(program_messages_file(templates), f"Call {calls}. {_YOURS}")


def _dspy(saved: SavedPrompt, predictor: str | None) -> Export:
    if saved.task.program is None:
        (prompt,) = saved.candidate.prompts.values()
        alone = f" It reads labels from what {saved.named.model} says of its tokens." if _reads(prompt) else ""
        return Export(dspy_file(saved), f"It needs dspy alone: `from prompt import program`.{alone}")
    if predictor is not None:
        raise TaskError("dspy takes the prompts of the whole program", "Leave --predictor out.")
    build = saved.task.program.rpartition(":")[2]
    note = f"Put the prompts into your own program: `from prompt import tuned`, then `program = tuned({build}())`."
    return Export(dspy_program_file(saved), note)


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


_LANGCHAIN = (
    '"""{} that metier found, for LangChain: {}.invoke({{…}}) fills it in."""\n\n'
    "from langchain_core.prompts import ChatPromptTemplate\n\n"
)
# What opens a tag, a brace that would open one with the slot after it, and an end of a comment that was not begun.
_READ_BY_NUNJUCKS = re.compile(r"\{[{%#]|\{\Z|#\}")
_YOURS = "What the program does between its calls stays yours to write."
_LOAD = "optimizer.load_prompt(best.json) reads it, too."
_LOAD_ALL = "optimizer.load_prompt(best.json) runs them all."
CODE = ("python", "dspy")
# What can hold a readout, `openai` with biases where they come to the same.
READING = (*CODE, "openai")
# A target takes the template of each predictor, and whether they are a whole program's or one predictor's alone.
TARGETS: Mapping[str, Target] = {
    **{target: _json_target(target) for target in ("messages", "openai", "anthropic")},
    "langchain": _langchain,
    "promptfoo": _promptfoo,
    "python": _python,
}
