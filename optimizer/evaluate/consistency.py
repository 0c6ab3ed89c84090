"""Several askings of one example: each asked in its turn, and one result made of what came of them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from optimizer.door.door import repetition_of_call
from optimizer.ledger.result import FLIP_RATE, SPREAD
from optimizer.prompt.demos import made_of, text_of
from optimizer.task.metrics.base import Metric
from optimizer.task.metrics.consistency import AS_WRITTEN, ConsistencyMetric
from optimizer.types import Example, Failure, Score

T = TypeVar("T")
Result = Score | Failure
# Repetitions of a whole example are so many apart, that each asking in them is one of its own.
APART = 1000


async def each_asking(
    metric: Metric, example: Example, ask: Callable[[Mapping[str, Any]], Awaitable[T]], lost: Callable[[T], bool]
) -> list[tuple[str, T]]:
    """Ask an example as often as the metric wants it; return how its input was changed, and what came of it.

    It ends with an asking that is `lost`: then the example has no result, and further calls would be for nothing.
    """
    if not isinstance(metric, ConsistencyMetric):
        return [(AS_WRITTEN, await ask(example.inputs))]
    before, answers = repetition_of_call.get(), []
    original = made_of.set(text_of(example.inputs))
    try:
        for one in metric.askings(example):
            repetition_of_call.set(APART * before + one.repetition)
            answers.append((one.way, await ask(one.inputs)))
            if lost(answers[-1][1]):
                break
    finally:
        repetition_of_call.set(before)
        made_of.reset(original)
    return answers


def together(metric: Metric, results: Sequence[tuple[str, Result]]) -> Result:
    """Return the one result of an example, given that of each asking with how its input was changed.

    Its score is the metric's of the mean and the standard deviation, its answer the first one, its parts are the means
    by way of asking, whether any answer is another one than the first (`flip rate`), and the deviation (`spread`). The
    askings are no examples of their own: however many there are, an example is one observation. Where one of them
    failed, and not through the prompt, there is no result.
    """
    if not isinstance(metric, ConsistencyMetric):
        return results[0][1]
    scores: list[tuple[str, Score]] = []
    for way, result in results:
        if isinstance(result, Failure):
            return result
        scores.append((way, result))
    first, every = scores[0][1], [score for _, score in scores]
    value, deviation = metric.value([score.value for score in every])
    others = [(way, score) for way, score in scores[1:] if not metric.same(score.answer, first.answer)]
    by_way: dict[str, list[float]] = {}
    for way, score in scores:
        by_way.setdefault(way, []).append(score.value)
    parts = {name: _mean([score.parts.get(name, 0.0) for score in every]) for name in first.parts}
    parts |= {way: _mean(values) for way, values in by_way.items()}
    parts |= {FLIP_RATE: float(bool(others)), SPREAD: deviation}
    return Score(
        value,
        first.answer,
        "; ".join([first.feedback, *(f"asked {way}: {score.feedback}" for way, score in others)]),
        tokens=sum(score.tokens for score in every),
        calls=sum(score.calls for score in every),
        longest=max(score.longest for score in every),
        cut=any(score.cut for score in every),
        failure=next((score.failure for score in every if score.failure is not None), None),
        parts=parts,
        usd=math.fsum(score.usd for score in every),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
