"""A prompt as a Python file of its own: on the standard library alone, or as a plain DSPy program.

What a prompt does when it runs is not written a second time: the functions that do it here are copied, as source, into
the file. All that comes from the user stands in it as literals.
"""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.export import source
from optimizer.export.source import ADAPTERS, PLAIN, choosing, literal, parts, plainly
from optimizer.export.template import BETWEEN, Template, never
from optimizer.prompt.program import Programs, Prompted
from optimizer.prompt.saved import SavedPrompt
from optimizer.prompt.values import render
from optimizer.types import Example, Prompt

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


def python_module(template: Template) -> str:
    """Return a Python file whose `messages(…)` are this prompt's, without metier or DSPy."""
    prompt, plain = template.prompt, template.prompt.format in PLAIN
    chosen = "_chosen(inputs)" if prompt.retrieves else "DEMOS"
    ending = _JOINED % BETWEEN if template.joined else "return filled"
    needs = "numpy and sentence-transformers" if prompt.retrieves else "the standard library alone"
    return "".join(
        [
            source.HEAD.format(needs=needs),
            source.imports(prompt.retrieves),
            literal("REQUEST", dict(template.body)),
            literal("HEAD", parts(template.head)),
            literal("DEMOS", [parts(demo) for demo in template.demos]),
            literal("TAIL", parts(template.tail)),
            _MESSAGES.format(chosen=chosen, ending=ending),
            source.source(render) if plain or prompt.retrieves else "",
            source.PLAIN_TEXT if plain else source.DSPY_TEXT,
            _pool(prompt, template.pool) if prompt.retrieves else "",
            _CHOSEN if prompt.retrieves else "",
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
    built = Programs(saved.task, saved.task.train, never).build(saved.candidate)
    assert isinstance(built, Prompted)  # noqa: S101 - the task has no program of its own
    fields = {
        side: {field: spec.model_dump(mode="json") for field, spec in specs.items()}
        for side, specs in (("inputs", saved.task.inputs), ("outputs", saved.task.outputs))
    }
    needs = "dspy, numpy and sentence-transformers" if prompt.retrieves else "dspy"
    return "".join(
        [
            source.HEAD.format(needs=needs),
            source.imports(prompt.retrieves, dspy=True),
            literal("INSTRUCTION", prompt.instruction),
            literal("FIELDS", fields),
            literal("SETTINGS", {"max_tokens": built.config["max_tokens"]}),
            literal("DEMOS", [{**demo.inputs, **demo.outputs} for demo in prompt.shown]),
            source.plain_formats() if prompt.format in PLAIN else source.source(render) if prompt.retrieves else "",
            _pool(prompt, saved.task.train) if prompt.retrieves else "",
            _DSPY.format(adapter=ADAPTERS[prompt.format], chosen=_RETRIEVED if prompt.retrieves else "DEMOS"),
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


def _pool(prompt: Prompt, pool: Sequence[Example]) -> str:
    made = "POOL = DemoPool([Example(*one) for one in EXAMPLES], Embedder())\n"
    chosen = f"PROMPT = Prompt(**{choosing(prompt)!r})\n"
    return source.retrieval() + "\n\n" + literal("EXAMPLES", plainly(pool)) + made + chosen
