"""Pieces of the Python files that are exported: imports, literals, and functions of ours, copied as source."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pprint import pformat
from typing import Any

from optimizer.export.template import Message
from optimizer.prompt import demos, values
from optimizer.prompt.demos import DemoPool, text_of
from optimizer.prompt.values import label_of, render
from optimizer.task import text as texts
from optimizer.task.metrics import match
from optimizer.types import Example, Prompt

HEAD = '"""A prompt that metier found; it needs {needs}. Made by `metier export`: change the task, not this file."""\n'
# What the formats `turns` and `block` are, and the others are not: laid out by us, not by DSPy.
PLAIN = frozenset({"turns", "block"})
ADAPTERS = {
    "turns": "TurnsAdapter()",
    "block": "BlockAdapter()",
    "chat": "dspy.ChatAdapter(use_json_adapter_fallback=False)",
    "json": "dspy.JSONAdapter()",
    "xml": "dspy.XMLAdapter(use_json_adapter_fallback=False)",
    "own": "dspy.settings.adapter or dspy.ChatAdapter()",
}
# As DSPy writes a value in its chat, json and xml formats.
DSPY_TEXT = """

def _text(value):
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)
"""

PLAIN_TEXT = """

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


def imports(retrieval: bool, dspy: bool = False) -> str:
    """Return a file's imports."""
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


def literal(name: str, value: Any) -> str:
    """Return an assignment of plain data."""
    return f"{name} = {pformat(value, width=110, sort_dicts=False)}\n"


def parts(messages: tuple[Message, ...]) -> list[Any]:
    """Return messages as plain data."""
    return [
        (one.role, [piece if isinstance(piece, str) else {"slot": piece.name} for piece in one.pieces])
        for one in messages
    ]


def source(*things: Any) -> str:
    """Return the source of functions and classes."""
    return "".join(f"\n\n{inspect.getsource(thing)}" for thing in things)


def retrieval() -> str:
    """Return the source that chooses demos for an input: the classes Example, Prompt, Embedder and DemoPool."""
    limits = {"shortlist": demos.SHORTLIST, "redundancy": demos.REDUNDANCY, "digits": demos.DIGITS}
    return _RETRIEVAL.format(**limits).rstrip("\n") + "\n" + source(text_of, DemoPool)


def plainly(pool: Sequence[Example]) -> list[Any]:
    """Return examples as pairs of inputs and outputs."""
    return [(dict(example.inputs), dict(example.outputs)) for example in pool]


def choosing(prompt: Prompt) -> dict[str, Any]:
    """Return what decides which demos a prompt is shown."""
    return {"policy": prompt.policy, "count": prompt.count, "order": prompt.order}


def plain_formats() -> str:
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
    return f"{constants}" + source(
        *strict, texts._distinct, texts._encodable, match.named_labels, match._words, render, label_of, *read, *adapters
    )
