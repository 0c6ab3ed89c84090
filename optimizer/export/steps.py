"""The prompts of a program with predictors of its own as a Python file: one prompt each, for its steps to call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.export import source
from optimizer.export.source import ADAPTERS, PLAIN, choosing, literal, parts, plainly
from optimizer.export.template import BETWEEN, Template, never
from optimizer.prompt.program import Programs
from optimizer.prompt.saved import SavedPrompt
from optimizer.prompt.values import render
from optimizer.types import Example, Prompt

_MESSAGES = '''

def messages(predictor, /, **inputs):
    """Return the chat messages of one of the program's PREDICTORS for its inputs."""
    prompt = PREDICTORS[predictor]
    parts = [*prompt["head"], *(message for demo in {chosen} for message in demo), *prompt["tail"]]
    filled = [
        {{"role": role, "content": "".join(_piece(piece, inputs, {text}) for piece in pieces)}}
        for role, pieces in parts
    ]
    if prompt["joined"]:
        return [{{"role": filled[0]["role"], "content": {between!r}.join(one["content"] for one in filled)}}]
    return filled


def request(predictor, /, **inputs):
    """Return the body of a request to an OpenAI-compatible endpoint."""
    return {{**PREDICTORS[predictor]["request"], "messages": messages(predictor, **inputs)}}


def _piece(piece, inputs, text):
    return piece if isinstance(piece, str) else text(inputs[piece["slot"]])
'''

_CHOSEN = """

def _chosen(predictor, inputs):
    if predictor not in POOLS:
        return PREDICTORS[predictor]["demos"]
    inside = {name: inputs[name] for name in PREDICTORS[predictor]["inputs"]}
    places = {id(example): place for place, example in enumerate(POOLS[predictor].examples)}
    found = POOLS[predictor].choose(CHOOSING[predictor], inside)
    return [PREDICTORS[predictor]["demos"][places[id(example)]] for example in found]
"""


def python_steps(templates_by_name: Mapping[str, Template]) -> str:
    """Return a Python file whose `messages(predictor, …)` are a program's, without metier or DSPy."""
    pools = {name: (one.prompt, one.pool) for name, one in templates_by_name.items() if one.prompt.retrieves}
    formats = {one.prompt.format for one in templates_by_name.values()}
    both = '(render if prompt["plain"] else _text)'
    text = both if formats & PLAIN and formats - PLAIN else "render" if formats & PLAIN else "_text"
    chosen = "_chosen(predictor, inputs)" if pools else 'prompt["demos"]'
    return "".join(
        [
            source.HEAD.format(needs="numpy and sentence-transformers" if pools else "the standard library alone"),
            source.imports(bool(pools)),
            literal("PREDICTORS", {name: _held(one) for name, one in templates_by_name.items()}),
            _MESSAGES.format(chosen=chosen, text=text, between=BETWEEN),
            source.source(render) if formats & PLAIN or pools else "",
            source.DSPY_TEXT if formats - PLAIN else "",
            _pools(pools),
            _CHOSEN if pools else "",
        ]
    )


def _held(template: Template) -> dict[str, Any]:
    return {
        "inputs": list(template.inputs),
        "outputs": list(template.outputs),
        "request": dict(template.body),
        "plain": template.prompt.format in PLAIN,
        "joined": template.joined,
        "head": parts(template.head),
        "demos": [parts(demo) for demo in template.demos],
        "tail": parts(template.tail),
    }


def dspy_steps(saved: SavedPrompt) -> str:
    """Return a Python file whose `tuned(program)` puts the prompts into the user's program, without metier."""
    programs = Programs(saved.task, saved.task.train, never)
    prompts = saved.candidate.prompts
    pools = {name: (one, programs.pool_of(name)) for name, one in prompts.items() if one.retrieves}
    formats = sorted({one.format for one in prompts.values()})
    adapters = "".join(f"    {name!r}: lambda: {ADAPTERS[name]},\n" for name in formats)
    return "".join(
        [
            source.HEAD.format(needs="dspy, numpy and sentence-transformers" if pools else "dspy"),
            source.imports(bool(pools), dspy=True),
            literal("PROMPTS", {name: _run(programs, name, one) for name, one in prompts.items()}),
            source.plain_formats() if PLAIN & set(formats) else source.source(render) if pools else "",
            _pools(pools),
            f"\n\nADAPTERS = {{\n{adapters}}}\n",
            _TUNED.format(chosen=_RETRIEVED if pools else _STATIC),
        ]
    )


def _run(programs: Programs, name: str, prompt: Prompt) -> dict[str, Any]:
    return {
        "instruction": prompt.instruction,
        "format": prompt.format,
        "settings": programs.limits(name, prompt.format),
        "demos": [{**demo.inputs, **demo.outputs} for demo in prompt.shown],
    }


_STATIC = 'return PROMPTS[self._name]["demos"]'

_RETRIEVED = """if self._name not in POOLS:
            return PROMPTS[self._name]["demos"]
        inside = {name: inputs[name] for name in self.signature.input_fields if name in inputs}
        return [{**one.inputs, **one.outputs} for one in POOLS[self._name].choose(CHOOSING[self._name], inside)]"""

_TUNED = '''

class Prompted(dspy.Predict):
    """Runs one of PROMPTS in its own format, with its own demos."""

    def __init__(self, base, name):
        prompt = PROMPTS[name]
        signature = base.signature.with_instructions(prompt["instruction"])
        super().__init__(signature, **{{**prompt["settings"], **base.config}})
        self.lm = base.lm
        self._name, self._adapter = name, ADAPTERS[prompt["format"]]

    def forward(self, **inputs):
        """Answer one input."""
        with dspy.context(adapter=self._adapter()):
            return super().forward(demos=self._demos(inputs), **inputs)

    async def aforward(self, **inputs):
        """Answer one input, asynchronously."""
        with dspy.context(adapter=self._adapter()):
            return await super().aforward(demos=self._demos(inputs), **inputs)

    def _demos(self, inputs):
        {chosen}


def tuned(program):
    """Return a copy of the program that PROMPTS were found for, with them in its predictors."""
    if isinstance(program, dspy.Predict):
        return Prompted(program, *PROMPTS)
    names = [name for name, _ in program.named_predictors()]
    if set(names) != set(PROMPTS):
        raise ValueError(f"these prompts are for the predictors {{list(PROMPTS)}}; the program has {{names}}")
    waiting = iter(names)
    return program.deepcopy().map_named_predictors(lambda base: Prompted(base, next(waiting)))
'''


def _pools(pools: Mapping[str, tuple[Prompt, Sequence[Example]]]) -> str:
    """Return the source of the examples that are retrieved from, and of how, by predictor."""
    if not pools:
        return ""
    examples = {name: plainly(pool) for name, (_, pool) in pools.items()}
    ways = {name: choosing(prompt) for name, (prompt, _) in pools.items()}
    return (
        f"{source.retrieval()}\n\n{literal('EXAMPLES', examples)}"
        "EMBED = Embedder()\n"
        "POOLS = {name: DemoPool([Example(*one) for one in pool], EMBED) for name, pool in EXAMPLES.items()}\n"
        f"{literal('WAYS', ways)}"
        "CHOOSING = {name: Prompt(**way) for name, way in WAYS.items()}\n"
    )
