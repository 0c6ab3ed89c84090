"""A prompt as a Python file of its own: on the standard library alone, or as a plain DSPy program.

What a prompt does when it runs is not written a second time: the functions that do it here are copied, as source, into
the file. All that comes from the user stands in it as literals.
"""

from __future__ import annotations

import inspect
from pprint import pformat
from typing import Any

from optimizer.export.layout import BETWEEN, Layout, Message, retrieves
from optimizer.prompt import demos, values
from optimizer.prompt.demos import DemoPool, text_of
from optimizer.prompt.program import Programs, Prompted
from optimizer.prompt.saved import SavedPrompt
from optimizer.prompt.values import label_of, render
from optimizer.task import text as texts
from optimizer.task.metrics import match
from optimizer.types import Prompt

_HEAD = '"""A prompt that metier found; it needs {needs}. Made by `metier export`: change the task, not this file."""\n'

_MESSAGES = '''

def messages(**inputs):
    """Return the chat messages for one input."""
    parts = [*HEAD, *(message for demo in {chosen} for message in demo), *TAIL]
    filled = [{{"role": role, "content": "".join(_piece(piece, inputs) for piece in pieces)}} for role, pieces in parts]
    {ending}


def request(**inputs):
    """Return the body of a request to an OpenAI-compatible endpoint."""
    return {{**REQUEST, "messages": messages(**inputs)}}


def _piece(piece, inputs):
    return piece if isinstance(piece, str) else _text(inputs[piece["slot"]])
'''

_JOINED = 'return [{"role": filled[0]["role"], "content": %r.join(one["content"] for one in filled)}]'

# As DSPy writes a value in its chat, json and xml formats.
_DSPY_TEXT = """

def _text(value):
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)
"""

_PLAIN_TEXT = """

_text = render
"""

_RETRIEVAL = '''

@dataclass
class Example:
    inputs: dict
    outputs: dict


@dataclass
class Prompt:
    policy: str
    count: int
    order: str
    demos: tuple = ()


SHORTLIST, REDUNDANCY, DIGITS = {shortlist}, {redundancy}, {digits}


class Embedder:
    """all-MiniLM-L6-v2, by sentence-transformers; set METIER_EMBEDDER to a folder that holds it."""

    model = None

    def __call__(self, texts):
        if self.model is None:
            from sentence_transformers import SentenceTransformer

            name = os.environ.get("METIER_EMBEDDER", "sentence-transformers/all-MiniLM-L6-v2")
            type(self).model = SentenceTransformer(name, device="cpu")
        found = self.model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, dtype=np.float32)


'''


def python_module(saved: SavedPrompt, layout: Layout) -> str:
    """Return a Python file whose `messages(…)` are this prompt's, without metier or DSPy."""
    (prompt,) = saved.candidate.prompts.values()
    plain = prompt.format in {"turns", "block"}
    chosen = "_chosen(inputs)" if retrieves(prompt) else "DEMOS"
    ending = _JOINED % BETWEEN if layout.joined else "return filled"
    needs = "numpy and sentence-transformers" if retrieves(prompt) else "the standard library alone"
    return "".join(
        [
            _HEAD.format(needs=needs),
            _imports(retrieves(prompt)),
            _literal("REQUEST", dict(layout.body)),
            _literal("HEAD", _parts(layout.head)),
            _literal("DEMOS", [_parts(demo) for demo in layout.demos]),
            _literal("TAIL", _parts(layout.tail)),
            _MESSAGES.format(chosen=chosen, ending=ending),
            _source(render) if plain or retrieves(prompt) else "",
            _PLAIN_TEXT if plain else _DSPY_TEXT,
            _retrieval(saved, prompt) if retrieves(prompt) else "",
            _CHOSEN if retrieves(prompt) else "",
        ]
    )


_CHOSEN = """

PLACES = {id(example): place for place, example in enumerate(POOL.examples)}


def _chosen(inputs):
    return [DEMOS[PLACES[id(example)]] for example in POOL.choose(PROMPT, inputs)]
"""


def dspy_module(saved: SavedPrompt) -> str:
    """Return a Python file whose `program` is this prompt as a DSPy module, without metier."""
    (prompt,) = saved.candidate.prompts.values()
    built = Programs(saved.task, saved.task.train, _never).build(saved.candidate)
    assert isinstance(built, Prompted)  # noqa: S101 - the task has no program of its own
    shown = prompt.demos[::-1] if prompt.order == "reversed" else prompt.demos
    fields = {
        side: {field: spec.model_dump(mode="json") for field, spec in specs.items()}
        for side, specs in (("inputs", saved.task.inputs), ("outputs", saved.task.outputs))
    }
    adapter = {
        "turns": "TurnsAdapter()",
        "block": "BlockAdapter()",
        "chat": "dspy.ChatAdapter(use_json_adapter_fallback=False)",
        "json": "dspy.JSONAdapter()",
        "xml": "dspy.XMLAdapter(use_json_adapter_fallback=False)",
    }[prompt.format]
    plain = prompt.format in {"turns", "block"}
    needs = "dspy, numpy and sentence-transformers" if retrieves(prompt) else "dspy"
    return "".join(
        [
            _HEAD.format(needs=needs),
            _imports(retrieves(prompt), dspy=True),
            _literal("INSTRUCTION", prompt.instruction),
            _literal("FIELDS", fields),
            _literal("SETTINGS", {"max_tokens": built.config["max_tokens"]}),
            _literal("DEMOS", [{**demo.inputs, **demo.outputs} for demo in shown]),
            _plain_formats() if plain else _source(render) if retrieves(prompt) else "",
            _retrieval(saved, prompt) if retrieves(prompt) else "",
            _DSPY.format(adapter=adapter, chosen=_RETRIEVED if retrieves(prompt) else "DEMOS"),
        ]
    )


_RETRIEVED = "[{**one.inputs, **one.outputs} for one in POOL.choose(PROMPT, inputs)]"

_DSPY = '''

TYPES = {{"str": str, "int": int, "float": float, "bool": bool, "list[str]": list[str]}}
TYPES["json"] = dict[str, Any] | list[Any]


def _field(kind, spec):
    annotation = Literal[tuple(spec["choices"])] if spec["choices"] else TYPES[spec["type"]]
    return annotation, kind(desc=spec["desc"]) if spec["desc"] else kind()


def signature():
    """Return the task's signature."""
    fields = {{name: _field(dspy.InputField, spec) for name, spec in FIELDS["inputs"].items()}}
    fields |= {{name: _field(dspy.OutputField, spec) for name, spec in FIELDS["outputs"].items()}}
    return dspy.Signature(fields, INSTRUCTION)


class Prompted(dspy.Predict):
    """Runs the prompt in its own format, with its own demos."""

    def forward(self, **inputs):
        """Answer one input."""
        with dspy.context(adapter={adapter}):
            return super().forward(demos=_demos(inputs), **inputs)

    async def aforward(self, **inputs):
        """Answer one input, asynchronously."""
        with dspy.context(adapter={adapter}):
            return await super().aforward(demos=_demos(inputs), **inputs)


def _demos(inputs):
    return {chosen}


program = Prompted(signature(), **SETTINGS)
'''


def _imports(retrieval: bool, dspy: bool = False) -> str:
    lines = ["import json"]
    if dspy:
        lines += ["import math", "import re", "import unicodedata"]
    if retrieval:
        lines += ["import os", "from dataclasses import dataclass"]
    if dspy:
        lines += ["from typing import Any, Literal, get_args, get_origin", "", "import dspy"]
        lines += ["from dspy.utils.exceptions import AdapterParseError"]
    if retrieval:
        lines += ["import numpy as np"]
    return "\nfrom __future__ import annotations\n\n" + "\n".join(lines) + "\n\n"


def _literal(name: str, value: Any) -> str:
    return f"{name} = {pformat(value, width=110, sort_dicts=False)}\n"


def _parts(messages: tuple[Message, ...]) -> list[Any]:
    return [
        (one.role, [piece if isinstance(piece, str) else {"slot": piece.name} for piece in one.pieces])
        for one in messages
    ]


def _source(*things: Any) -> str:
    return "".join(f"\n\n{inspect.getsource(thing)}" for thing in things)


def _retrieval(saved: SavedPrompt, prompt: Prompt) -> str:
    pool = [(dict(example.inputs), dict(example.outputs)) for example in saved.task.train]
    chosen = {"policy": prompt.policy, "count": prompt.count, "order": prompt.order}
    source = _source(text_of, DemoPool)
    return "".join(
        [
            _RETRIEVAL.format(shortlist=demos.SHORTLIST, redundancy=demos.REDUNDANCY, digits=demos.DIGITS).rstrip("\n")
            + "\n",
            source,
            "\n\n",
            _literal("EXAMPLES", pool),
            "POOL = DemoPool([Example(*one) for one in EXAMPLES], Embedder())\n",
            f"PROMPT = Prompt(**{chosen!r})\n",
        ]
    )


def _plain_formats() -> str:
    """Return the source of the formats `turns` and `block`, and of what they read answers with."""
    from optimizer.prompt.formats import plain

    constants = "".join(
        f"{name} = {value}\n"
        for name, value in (
            ("_NUMBER", f"re.compile({values._NUMBER.pattern!r})"),
            ("_TRUE", f"set({sorted(values._TRUE)})"),
            ("_FALSE", f"set({sorted(values._FALSE)})"),
            ("DEEPEST", texts.DEEPEST),
            ("_TOO_DEEP", repr(texts._TOO_DEEP)),
        )
    )
    read = (values.read, values._read_bool, values._read_number, values._read_list, values._read_json)
    strict = (texts.fold, texts.parse_json, texts.check_depth, texts._items, texts._no_constant, texts._finite)
    adapters = (plain.PlainAdapter, plain.TurnsAdapter, plain.BlockAdapter, plain.system_text)
    return f"{constants}" + _source(
        *strict, texts._distinct, texts._encodable, match.named_labels, match._words, render, label_of, *read, *adapters
    )


def _never(texts: Any) -> Any:
    raise RuntimeError("a module is written without embeddings")
