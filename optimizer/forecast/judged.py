"""What a judge adds to a forecast: its calls, and what one of them takes."""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.forecast.forecast import Sample
from optimizer.forecast.requests import FRAME, sample_of_size
from optimizer.models.prices import Price
from optimizer.task.metrics.base import Metric, calls_of
from optimizer.task.metrics.judge import JudgeMetric
from optimizer.types import Example

ASSUMED = "a judge's calls for each answer: {calls}; fewer in all, as equal answers to an example are graded once"


def judge_sample(metric: Metric, examples: Sequence[Example], price: Price | None) -> Sample | None:
    """Return what a judge's call takes, by the length of what it is shown; None where no judge is asked.

    The expected answers stand in the place of those that it will grade.
    """
    if not isinstance(metric, JudgeMetric):
        return None
    requests = [asked for example in examples for asked in metric.requests(example, example.outputs)]
    size = sum(len(text.encode()) + FRAME for asked in requests for text in asked.texts) / max(1, len(requests))
    return sample_of_size(size, price, metric.reply_tokens)


def judging_share(metric: Metric, predictors: int) -> float:
    """Return the share of an answer's calls that are a judge's; `predictors` are asked once each."""
    return calls_of(metric) / (predictors + calls_of(metric))


def with_judge(task: Sample, judge: Sample | None, share: float) -> Sample:
    """Return the mean call of an answer, of whose calls a share are the judge's."""
    if judge is None:
        return task
    usd = None if task.usd is None or judge.usd is None else task.usd.scaled(1 - share) + judge.usd.scaled(share)
    timed = task.seconds is not None and judge.seconds is not None
    seconds = (1 - share) * (task.seconds or 0.0) + share * (judge.seconds or 0.0) if timed else None
    return Sample(task.tokens.scaled(1 - share) + judge.tokens.scaled(share), usd, seconds)
