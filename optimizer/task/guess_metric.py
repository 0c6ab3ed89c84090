"""From the columns of answers to the metric that is proposed for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optimizer.task.columns import Column

# Labels of which the rarest has less than this share, and less than half of an even one, are scored each alike.
RARE = 0.15
# Answers of at most so many words (the median) are short.
SHORT_WORDS = 12
RUBRIC = {
    "correct": "What it says agrees with the reference; nothing is wrong or made up.",
    "complete": "Nothing that matters in the reference is missing.",
    "clear": "It is short, and a reader understands it at once.",
}
# Parts of a composite metric are scored answer by answer, without a model.
_AS_PART = {"macro_f1": "choice", "judge": "rouge"}


@dataclass(frozen=True)
class MetricGuess:
    """A metric as task.yaml has it, its name, why, and others where it refuses one of the expected answers."""

    metric: str | dict[str, Any]
    name: str
    why: str
    others: tuple[str, ...] = ()


def guess_metric(answers: Mapping[str, Column], judge: bool) -> MetricGuess:
    """Return the metric for some answers by field; a `judge` scores texts where it is asked for."""
    metrics = {field: _metric(column, judge) for field, column in answers.items()}
    if len(metrics) == 1:
        ((metric, why, others),) = metrics.values()
        if metric == "judge":
            return MetricGuess({"name": metric, "criteria": dict(RUBRIC)}, metric, why)
        return MetricGuess(metric, metric, f"{why}; a judge is for texts" if judge else why, others)
    parts = {field: {"metric": _AS_PART.get(name, name), "output": field} for field, (name, _, _) in metrics.items()}
    what = ", ".join(f"{field} by {part['metric']}" for field, part in parts.items())
    return MetricGuess(
        {"name": "composite", "parts": parts}, f"composite: {what}", "several answers: the mean of their scores"
    )


def _metric(column: Column, judge: bool) -> tuple[str, str, tuple[str, ...]]:
    """Return (the metric that fits a column, why, others where it refuses an expected answer)."""
    if column.labels:
        share = min(column.labels.values()) / column.values
        plain = "exact_match" if column.kind == "bool" else "choice"
        if share < min(RARE, 0.5 / len(column.labels)):
            rarest = min(column.labels, key=column.labels.__getitem__)
            return "macro_f1", f"'{rarest}' has {100 * share:.1f} % of the rows: each label counts as much", (plain,)
        return plain, "the share of right labels", ("exact_match",)
    if column.kind in ("int", "float"):
        return "numeric", "numbers are compared as numbers", ("exact_match",)
    if column.kind == "list":
        return "set_f1", "the order of a list does not count; list_order is for where it does", ("exact_match",)
    if column.kind == "json":
        return "json_fields", "the share of fields that are right", ("exact_match",)
    if judge:
        return "judge", "a rubric to be edited: what makes an answer good is yours to say", ()
    if column.words <= SHORT_WORDS:
        return (
            "token_f1",
            f"short texts ({column.words:g} words): the share of words in common",
            ("chrf", "exact_match"),
        )
    return "rouge", f"long texts ({column.words:g} words): how much of the wording is shared", ("chrf", "exact_match")
