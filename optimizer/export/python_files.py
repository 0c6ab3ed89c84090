"""A prompt as a Python file of its own: on the standard library alone, or as a plain DSPy program.

The templates in `files/` write them. What a prompt does when it runs is not written a second time: the functions of
ours that do it are copied, as source, into the file. All that comes from the user becomes literals.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from pprint import pformat
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from optimizer.export.template import BETWEEN, Message, Template, never
from optimizer.models.embed import MODEL
from optimizer.prompt import demos, readout, values
from optimizer.prompt.formats import PLAIN, plain
from optimizer.prompt.program import Programs
from optimizer.prompt.readout import Labels, read_labels
from optimizer.prompt.saved import SavedPrompt
from optimizer.system import limits
from optimizer.task import text as texts
from optimizer.task.metrics import match
from optimizer.types import Calibration, Example, Prompt, first_greatest

# These formats are written by our own adapters, the others by DSPy's.
ADAPTERS = {
    "turns": "TurnsAdapter()",
    "fields": "FieldsAdapter()",
    "block": "BlockAdapter()",
    "chat": "dspy.ChatAdapter(use_json_adapter_fallback=False)",
    "json": "dspy.JSONAdapter()",
    "xml": "dspy.XMLAdapter(use_json_adapter_fallback=False)",
    "own": "dspy.settings.adapter or dspy.ChatAdapter()",
}
# The source of what finds labels in words; of what reads any value from an answer's words; of the formats that do.
NAMING_SOURCE = (
    *(texts.fold, match.named_labels, match._LabelTable, match._label_table, match._label_at, match._words),
)
VALUES_SOURCE = (
    *NAMING_SOURCE,
    *(texts.parse_json, limits.check_depth, limits._items, texts._no_constant, texts._finite),
    *(texts._distinct, texts._encodable, values.render, values.label_of),
    *(values.read, values._read_bool, values._read_number, values._read_list, values._read_json),
)
ADAPTERS_SOURCE = (
    *(plain.Unreadable, plain.PlainAdapter, plain.TurnsAdapter, plain.FieldsAdapter, plain.BlockAdapter),
    *(plain.headed, plain.opening, plain.system_text),
)
# The source of what reads a label from log-probabilities.
READOUT_SOURCE = (
    *(readout.label_logprobs, readout._Tree, readout._alternatives, readout._joined, readout._ends),
    first_greatest,
)


def messages_file(template: Template) -> str:
    """Return a Python file whose `messages(…)` are this prompt's, without metier or DSPy."""
    prompt = template.prompt
    return _file("messages", [prompt], labels=template.labels, template=template, prompt=prompt, pool=template.pool)


def program_messages_file(templates: Mapping[str, Template]) -> str:
    """Return a Python file whose `messages(predictor, …)` are a program's, without metier or DSPy."""
    prompts = {name: template.prompt for name, template in templates.items()}
    predictors = {name: _predictor(template) for name, template in templates.items()}
    pools = {name: template.pool for name, template in templates.items()}
    return _file("program_messages", list(prompts.values()), predictors=predictors, **_retrieved(prompts, pools))


def dspy_file(saved: SavedPrompt) -> str:
    """Return a Python file whose `program` is this prompt as a DSPy module, without metier."""
    ((name, prompt),) = saved.candidate.prompts.items()
    predictor = Programs(saved.task, (), never).predictors[name]
    labels, settings = read_labels(predictor.signature, prompt), _settings(saved)
    settings |= {} if labels is None else labels.asked
    fields = {
        side: {field: spec.model_dump(mode="json") for field, spec in specs.items()}
        for side, specs in (("inputs", saved.task.inputs), ("outputs", saved.task.outputs))
    }
    shown = {"prompt": prompt, "fields": fields, "settings": settings, "pool": saved.task.train}
    return _file("dspy", [prompt], dspy=True, labels=labels, **shown)


def dspy_program_file(saved: SavedPrompt) -> str:
    """Return a Python file whose `tuned(program)` puts the prompts into the user's program, without metier."""
    programs, prompts = Programs(saved.task, saved.task.train, never), saved.candidate.prompts
    written = {
        name: {
            "instruction": prompt.instruction,
            "format": prompt.format,
            "settings": _settings(saved),
            "demos": [_fields(demo) for demo in prompt.shown],
        }
        for name, prompt in prompts.items()
    }
    pools = {name: programs.pool_of(name) for name in prompts}
    return _file("dspy_program", list(prompts.values()), dspy=True, written=written, **_retrieved(prompts, pools))


def _settings(saved: SavedPrompt) -> dict[str, Any]:
    """Return what the model was asked with when the prompt was scored, besides its temperature."""
    asked = {"max_tokens": saved.named.max_tokens, "stop": list(saved.named.stop)}
    return {name: value for name, value in asked.items() if value}


def _file(name: str, prompts: Sequence[Prompt], dspy: bool = False, labels: Labels | None = None, **shown: Any) -> str:
    """Return what the template `name` makes of some prompts; with `labels` it reads them from log-probabilities."""
    formats, retrieves = {prompt.format for prompt in prompts}, any(prompt.retrieves for prompt in prompts)
    libraries = [*(["dspy"] if dspy else []), *(["numpy and sentence-transformers"] if retrieves else [])]
    shown |= {"formats": formats, "plain": formats & PLAIN, "dspy": dspy, "retrieves": retrieves}
    shown |= {"labels": labels, "values_of_labels": [] if labels is None else labels.values}
    return _environment().get_template(f"{name}.py.j2").render(needs=", ".join(libraries), **shown)


@cache
def _environment() -> Environment:
    # What is rendered is Python: whatever comes from the user goes through the filter `literal`.
    made = Environment(  # noqa: S701
        loader=FileSystemLoader(Path(__file__).parent / "files"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"literal": _literal, "source": _source, "parts": _parts, "fields": _fields}
    made.filters |= {"pairs": _pairs, "choosing": _choosing}
    made.globals |= {"values": values, "limits": limits, "demos": demos, "between": BETWEEN, "adapters": ADAPTERS}
    made.globals |= {"adapters_source": ADAPTERS_SOURCE, "plain_formats": PLAIN, "embedder": MODEL}
    made.globals |= {"values_source": VALUES_SOURCE, "naming_source": NAMING_SOURCE}
    made.globals |= {"readout_source": READOUT_SOURCE, "readout": readout}
    made.globals |= {"calibration_best": Calibration.best, "sections": plain.PlainAdapter.sections}
    return made


def _literal(value: Any) -> str:
    return pformat(value, width=110, sort_dicts=False)


def _source(thing: Any) -> str:
    return inspect.getsource(thing).rstrip("\n")


def _parts(messages: Sequence[Message]) -> list[Any]:
    """Return messages as plain data."""
    return [
        (message.role, [piece if isinstance(piece, str) else {"slot": piece.name} for piece in message.pieces])
        for message in messages
    ]


def _fields(example: Example) -> dict[str, Any]:
    return {**example.inputs, **example.outputs}


def _pairs(pool: Sequence[Example]) -> list[Any]:
    """Return examples as pairs of inputs and outputs."""
    return [(dict(example.inputs), dict(example.outputs)) for example in pool]


def _choosing(prompt: Prompt) -> dict[str, Any]:
    """Return what decides which demos a prompt shows."""
    return {"policy": prompt.policy, "count": prompt.count, "order": prompt.order}


def _predictor(template: Template) -> dict[str, Any]:
    return {
        "inputs": list(template.inputs),
        "outputs": list(template.outputs),
        "request": dict(template.body),
        "plain": template.prompt.format in PLAIN,
        "joined": template.joined,
        "head": _parts(template.head),
        "demos": [_parts(demo) for demo in template.demos],
        "tail": _parts(template.tail),
    }


def _retrieved(prompts: Mapping[str, Prompt], pools: Mapping[str, Sequence[Example]]) -> dict[str, Any]:
    """Return the examples that each retrieving prompt chooses from, and how it chooses."""
    names = [name for name, prompt in prompts.items() if prompt.retrieves]
    return {
        "examples": {name: _pairs(pools[name]) for name in names},
        "choices": {name: _choosing(prompts[name]) for name in names},
    }
