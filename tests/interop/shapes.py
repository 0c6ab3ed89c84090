"""Student programs of twelve shapes, a model that answers all of them by rule, and how a fresh process runs them.

`python -m interop.shapes API_BASE FOLDER` loads FOLDER/SHAPE.json into each shape, in plain DSPy, and prints
what they answer as JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import dspy
import pydantic

TRUTH = {"apple": "fruit", "pear": "fruit", "iron": "metal", "zinc": "metal", "owl": "bird", "crow": "bird"}
PLACES = ("north", "south", "east", "west", "upper", "lower", "inner", "outer")
TEXTS = [f"the {place} store has {word}" for place in PLACES for word in TRUTH]


class Box(pydantic.BaseModel):
    """A typed output."""

    kind: str
    size: int


class Two(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.find, self.sort = dspy.Predict("text -> word"), dspy.Predict("word -> kind")

    def forward(self, text: str) -> dspy.Prediction:
        return self.sort(word=self.find(text=text).word)


class Five(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.find = dspy.Predict("text -> word")
        self.steps = [dspy.Predict("word -> note"), dspy.Predict("word, note -> hint"), dspy.Predict("hint -> doubt")]
        self.sort = dspy.ChainOfThought("word, doubt -> kind")

    def forward(self, text: str) -> dspy.Prediction:
        word = self.find(text=text).word
        note = self.steps[0](word=word).note
        hint = self.steps[1](word=word, note=note).hint
        return self.sort(word=word, doubt=self.steps[2](hint=hint).doubt)


def where(place: str) -> str:
    """Tell what lies at a place."""
    return f"{place} has shelves"


class Nested(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Two()
        self.parts = {"last": dspy.Predict("kind -> final_kind")}

    def forward(self, text: str) -> dspy.Prediction:
        kind = self.inner(text=text).kind
        return dspy.Prediction(kind=self.parts["last"](kind=kind).final_kind)


class Skipping(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sort, self.check = dspy.Predict("text -> kind"), dspy.Predict("text, kind -> final_kind")

    def forward(self, text: str) -> dspy.Prediction:
        kind = self.sort(text=text).kind
        return dspy.Prediction(kind=self.check(text=text, kind=kind).final_kind if "north" in text else kind)


class Shared(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = dspy.Predict("text -> kind")
        self.second = self.first

    def forward(self, text: str) -> dspy.Prediction:
        self.first(text=text)
        return self.second(text=f"{text}!")


class Typed(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        outputs = "box: Box, sure: bool, count: int, tags: list[str], kind: Literal['fruit', 'metal', 'bird']"
        self.predict = dspy.Predict(dspy.Signature(f"text -> {outputs}", custom_types={"Box": Box, "Literal": Literal}))

    def forward(self, text: str) -> dspy.Prediction:
        said = self.predict(text=text)
        assert isinstance(said.box, Box)
        assert isinstance(said.count, int)
        return said


class Frozen(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.find = dspy.Predict(dspy.Signature("text -> word", "Find the word. It was tuned before."))
        self.part = Two()
        self.part._compiled = True
        self.sort = dspy.Predict("word, kind -> final_kind")

    def forward(self, text: str) -> dspy.Prediction:
        word = self.find(text=text).word
        return dspy.Prediction(kind=self.sort(word=word, kind=self.part(text=text).kind).final_kind)


class AsyncOnly(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.find, self.sort = dspy.Predict("text -> word"), dspy.Predict("word -> kind")

    async def aforward(self, text: str) -> dspy.Prediction:
        return await self.sort.acall(word=(await self.find.acall(text=text)).word)


class Raising(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sort = dspy.Predict("text -> kind")

    def forward(self, text: str) -> dspy.Prediction:
        if "lower" in text:
            raise KeyError(text)
        return self.sort(text=text)


class Slow(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sort = dspy.Predict("text -> kind")

    def forward(self, text: str) -> dspy.Prediction:
        time.sleep(0.05)
        return self.sort(text=text)


SHAPES: dict[str, Callable[[], dspy.Module]] = {
    "two": Two,
    "five": Five,
    "cot": lambda: dspy.ChainOfThought("text -> kind"),
    "react": lambda: dspy.ReAct("text -> kind", tools=[where], max_iters=3),
    "nested": Nested,
    "skipping": Skipping,
    "shared": Shared,
    "typed": Typed,
    "no_demos": lambda: dspy.Predict("text -> kind"),
    "frozen": Frozen,
    "async_only": AsyncOnly,
    "raising": Raising,
    "slow": Slow,
}


def answer(messages: list[dict[str, Any]]) -> str:
    """Fill the fields that DSPy's chat format asks for; kinds are right only where the prompt is more than bare."""
    texts = [str(message["content"]) for message in messages]
    asked = texts[-1].rpartition("Respond with the corresponding output fields")[2]
    names = [name for name in re.findall(r"\[\[ ## (\w+) ## \]\]", asked) if name != "completed"]
    shown = texts[-1].rpartition("Respond with")[0]
    word = max(TRUTH, key=shown.rfind)
    kind = next((kind for kind in TRUTH.values() if f"kind ## ]]\n{kind}" in shown), TRUTH[word])
    bare = len(messages) == 2 and "only" not in texts[0]
    kind = "fruit" if bare else kind
    filled = {
        "word": word,
        "kind": kind,
        "final_kind": kind,
        "sure": "True",
        "count": "3",
        "tags": '["a", "b"]',
        "box": json.dumps({"kind": kind, "size": 2}),
        "next_tool_args": "{}",
        "next_tool_name": "finish",
    }
    if "next_tool_name" in names and "observation" not in shown:
        filled |= {"next_tool_name": "where", "next_tool_args": '{"place": "north"}'}
    lines = [f"[[ ## {name} ## ]]\n{filled.get(name, f'{name} of {word}')}" for name in names]
    return "\n\n".join([*lines, "[[ ## completed ## ]]"])


def answers(program: dspy.Module, texts: list[str]) -> list[str]:
    """Return what a program says to texts, an exception's name where it raises."""
    return [_said(program, text) for text in texts]


def _said(program: dspy.Module, text: str) -> str:
    try:
        if hasattr(program, "aforward") and not hasattr(type(program), "forward"):
            return str(dict(asyncio.run(program.acall(text=text)).items()))
        return str(dict(program(text=text).items()))
    except KeyError as problem:
        return repr(problem)


def main() -> None:
    """Load every shape that was saved and print its answers."""
    base, folder = sys.argv[1:]
    dspy.configure(lm=dspy.LM("openai/fake", api_base=base, api_key="none", cache=False), disable_history=True)
    found = {}
    for path in sorted(Path(folder).glob("*.json")):
        program = SHAPES[path.stem]()
        program.load(str(path))
        found[path.stem] = answers(program, TEXTS[:8])
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
