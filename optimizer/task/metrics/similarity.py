"""semantic_similarity: how near an answer's meaning is to the expected one's, by sentence embeddings."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from optimizer.errors import TaskError
from optimizer.system.limits import shorten
from optimizer.task.metrics.base import WIDTH, Grade
from optimizer.task.metrics.overlap import references, whole
from optimizer.task.text import fold
from optimizer.types import Example

if TYPE_CHECKING:
    import numpy as np

    # Texts → an array of unit vectors, a row a text.
    Embed = Callable[[Sequence[str]], np.ndarray]

# The embedder is metier's own: another one is another version.
NAME, VERSION = "semantic_similarity", "1-all-minilm-l6-v2"
# One text is encoded at a time: the model is one, and the processor's cores are its own.
_TURN = threading.Lock()


@dataclass(frozen=True)
class SimilarityMetric:
    """The cosine of answer and expected text, 0 where it is negative; of several outputs the mean.

    Sentence embeddings of all-MiniLM-L6-v2 (Reimers & Gurevych 2019, arXiv:1908.10084). `embed` is there once a run has
    opened its models; equal texts need none.
    """

    outputs: tuple[str, ...]
    embed: Embed | None = field(default=None, compare=False, repr=False)
    name: str = NAME
    version: str = VERSION

    def bound(self, embed: Embed) -> SimilarityMetric:
        """Return this metric with an embedder."""
        return replace(self, embed=embed)

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return (score in [0, 1], what was expected and what was seen)."""
        expected = ", ".join(f"{name} = {shorten(example.outputs[name], WIDTH)}" for name in self.outputs)
        if answer is None:
            return 0.0, f"expected {expected}; the answer could not be read"
        scores = self.parts(example, answer)
        got = ", ".join(f"{name} = {shorten(answer.get(name), WIDTH)} ({scores[name]:.2f})" for name in self.outputs)
        return sum(scores.values()) / len(scores), f"expected {expected}, got {got}"

    async def grade(self, example: Example, answer: Mapping[str, Any] | None) -> Grade:
        """Return the same, while others are graded."""
        value, feedback = await asyncio.to_thread(self, example, answer)
        return Grade(value, feedback, self.parts(example, answer) if len(self.outputs) > 1 else {})

    def parts(self, example: Example, answer: Mapping[str, Any] | None) -> dict[str, float]:
        """Return each output's score."""
        seen = answer or {}
        return {name: self._similar(example.outputs[name], seen.get(name)) for name in self.outputs}

    def _similar(self, expected: Any, seen: Any) -> float:
        wanted, answer = references(expected), "" if seen is None else whole(seen)
        if fold(answer) in map(fold, wanted):
            return 1.0
        if not answer.strip():
            return 0.0
        if self.embed is None:
            raise TaskError(f"the metric {NAME} has no embedder", "It is scored in a run, by eval or by check.")
        with _TURN:
            vectors = self.embed([answer, *wanted])
        return min(1.0, max(0.0, float((vectors[1:] @ vectors[0]).max())))
