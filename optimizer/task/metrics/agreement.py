"""How far two answers agree: what a metric says of one if the other were right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optimizer.task.metrics.base import BuiltIn, FieldMetric, Metric
from optimizer.task.metrics.match import exact_match
from optimizer.task.schema import FieldSpec
from optimizer.task.values import coerce
from optimizer.types import Example, first_greatest

# (an answer, another) → how far the first is right, in [0, 1], if the second is; None is an unreadable answer.
Agreement = Callable[[Mapping[str, Any] | None, Mapping[str, Any] | None], float]


def agreement(metric: Metric, outputs: Mapping[str, FieldSpec]) -> Agreement:
    """Return how far answers with these `outputs` agree by a task's metric.

    A user's own function may look at more than the answers, or ask a model: for it answers agree if they are equal.
    """
    compare = metric if isinstance(metric, BuiltIn) else FieldMetric("exact_match", "1", outputs, exact_match)

    def agree(answer: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> float:
        if answer is None or other is None:
            return 0.0
        try:
            right = {name: coerce(spec, other.get(name)) for name, spec in outputs.items()}
        except ValueError:
            return 0.0
        return compare(Example({}, right), answer)[0]

    return agree


def most_agreed(answers: Sequence[Mapping[str, Any] | None], agree: Agreement) -> int:
    """Return the number of the answer with which the others agree the most, of equals the first.

    It is the one with the least expected loss, if what the others say is as likely as they say it often (minimum Bayes
    risk; Kumar and Byrne 2004, https://aclanthology.org/N04-1022).
    """
    support = [
        round(sum(agree(answer, other) for place, other in enumerate(answers) if place != number), 9)
        for number, answer in enumerate(answers)
    ]
    return first_greatest(support)
