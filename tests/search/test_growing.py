from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from optimizer.search.growing import training_answers
from optimizer.types import Candidate, Example, Prompt, Score

SEED = Candidate({"predict": Prompt("Sort it.")})


class Recording:
    """Stands for the evaluator: each example is answered, and its place is noted."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, str]] = []

    async def run(
        self, candidate: Candidate, examples: Sequence[Example], split: str, start: int, tag: object
    ) -> list[Score]:
        assert split == "train"
        self.shown += [(start + place, example.id) for place, example in enumerate(examples)]
        return [Score(1.0) for _ in examples]


@given(st.integers(0, 40), st.integers(1, 8))
def test_all_training_examples_have_their_turn(count: int, window: int) -> None:
    examples = [Example({"text": str(number)}, {}) for number in range(count)]
    evaluator = Recording()
    answers = training_answers(cast("Any", evaluator), examples, 0, window)
    for serial in range(max(1, count)):
        assert len(asyncio.run(answers(SEED, serial))) == min(window, count)
    shown = Counter(example for _, example in evaluator.shown)
    assert set(shown) == {example.id for example in examples}
    # A place always holds the same example: what is known of it by its place stays true.
    assert len(dict(evaluator.shown)) == len(set(evaluator.shown))
    if count and window <= count:
        assert max(shown.values()) == min(shown.values()) == window
