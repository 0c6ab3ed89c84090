"""Which demos a predictor is shown for an input: a static set, the nearest, or the nearest and diverse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from optimizer.prompt.values import render
from optimizer.types import Example, Prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

Embed = Callable[[Sequence[str]], "NDArray[np.float32]"]
SHORTLIST, REDUNDANCY, DIGITS = 4, 0.5, 6
# The text of the example that an input is a changed form of: shown as a demo, it would give the answer away.
made_of: ContextVar[str | None] = ContextVar("made_of", default=None)


def text_of(inputs: Mapping[str, Any]) -> str:
    """Return an example's inputs as the one text that is embedded."""
    return "\n".join(render(value) for value in inputs.values())


class DemoPool:
    """The examples that demos are retrieved from, with their embeddings (made on first use)."""

    def __init__(self, examples: Sequence[Example], embed: Embed) -> None:
        self.examples = tuple(examples)
        self._embed = embed
        self._texts = [text_of(example.inputs) for example in self.examples]
        self._vectors: NDArray[np.float64] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> DemoPool:
        return self  # copies of a program share it: nothing in it changes, and it may be large

    def choose(self, prompt: Prompt, inputs: Mapping[str, Any]) -> list[Example]:
        """Return the demos for one input, in the order they are shown; never the input itself.

        `given` order puts the nearest last, next to the input; `reversed` puts it first.
        """
        if prompt.policy == "static" or prompt.count == 0:
            chosen = list(prompt.demos)
        else:
            chosen = [self.examples[index] for index in self._retrieve(prompt, text_of(inputs))][::-1]
        return chosen[::-1] if prompt.order == "reversed" else chosen

    def _retrieve(self, prompt: Prompt, text: str) -> list[int]:
        if self._vectors is None:
            self._vectors = self._embed(self._texts).astype(np.float64)
        # The last digits of a product differ between processes: equal examples must rank alike in all of them.
        likeness = (self._vectors @ self._embed([text])[0]).round(DIGITS)
        hidden = self._hidden(text)
        ranked = [int(i) for i in np.argsort(-likeness, kind="stable") if self._texts[int(i)] not in hidden]
        if prompt.policy == "nearest":
            return ranked[: prompt.count]
        return self._spread(ranked[: SHORTLIST * prompt.count], likeness, prompt.count)

    def _hidden(self, text: str) -> tuple[str, ...]:
        """Return the texts that are not shown for an input: its own."""
        return (text,)

    def _spread(self, shortlist: list[int], likeness: NDArray[np.float64], count: int) -> list[int]:
        """Pick by maximal marginal relevance (Carbonell & Goldstein 1998, doi:10.1145/290941.291025)."""
        assert self._vectors is not None  # noqa: S101 - set by the caller, told to mypy
        chosen: list[int] = []
        while shortlist and len(chosen) < count:
            seen = self._vectors[chosen]
            gains = [
                float(likeness[i]) - REDUNDANCY * float((seen @ self._vectors[i]).max(initial=0.0)) for i in shortlist
            ]
            chosen.append(shortlist.pop(int(np.argmax(np.round(gains, DIGITS)))))
        return chosen


class OriginalsHidden(DemoPool):
    """A pool that does not show what an input was made of either, where the metric `consistency` asks changed inputs.

    It is a class of its own because exports carry the source of DemoPool, and never ask a changed input.
    """

    def _hidden(self, text: str) -> tuple[str, ...]:
        original = made_of.get()
        return (text,) if original is None else (text, original)
