"""What a run will take: calls, tokens, dollars and time, each as a range, and what was assumed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from optimizer.config.schema import BudgetConfig
from optimizer.evaluate.statistics import mean

# Student's t, 95 %, for 1, 2, 3 … degrees of freedom; beyond them the last will do.
T95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)


@dataclass(frozen=True)
class Range:
    """A figure with its interval."""

    low: float
    mid: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.mid + other.mid, self.high + other.high)

    def __mul__(self, other: Range) -> Range:
        return Range(self.low * other.low, self.mid * other.mid, self.high * other.high)

    def scaled(self, factor: float) -> Range:
        """Return this range times a number."""
        return self * Range(factor, factor, factor)

    def paid(self, most: float | None, each: Range) -> Range:
        """Return this number of things, or as many as so much pays where each takes `each`."""
        if most is None or each.low <= 0:
            return self
        return Range(min(self.low, most / each.high), min(self.mid, most / each.mid), min(self.high, most / each.low))

    def within(self, most: float | None) -> Range:
        """Return this range cut at a limit."""
        return self if most is None else Range(min(self.low, most), min(self.mid, most), min(self.high, most))


@dataclass(frozen=True)
class Sample:
    """What a call of one candidate takes on average; None is not known."""

    tokens: Range
    usd: Range | None
    seconds: float | None = None


@dataclass(frozen=True)
class Plan:
    """The calls of a run: `search` over all candidates, `test` for each of seed and winner, `baselines` beside them.

    `proposals` are calls between rounds: the prompt model's, or answers to training examples. `written` instructions
    are asked of the prompt model before the first round; None in `writing` is no prompt model.
    """

    search: Range
    test: int
    writing: Sample | None = None
    written: int = 0
    baselines: int = 0
    proposals: Range = Range(0, 0, 0)


@dataclass(frozen=True)
class Forecast:
    """What a run will take, the test included; None is not known."""

    calls: Range
    tokens: Range
    usd: Range | None
    seconds: Range | None
    assumed: tuple[str, ...]

    def text(self) -> str:
        """Return it in one line for a person, and a line for each assumption."""
        figures = [f"{_span(self.calls, '{:,.0f}')} calls", f"{_span(self.tokens, '{:,.0f}')} tokens"]
        figures.append("dollars not known" if self.usd is None else f"${_span(self.usd, '{:,.4f}')}")
        if self.seconds is not None:
            figures.append(f"{_span(self.seconds, '{:,.0f}')} s")
        return "\n".join([f"Forecast: {', '.join(figures)}", *(f"  assumed: {line}" for line in self.assumed)])


def forecast(
    plan: Plan, samples: Sequence[Sample], limits: BudgetConfig, concurrency: int, assumed: list[str]
) -> Forecast:
    """Return what a run will take; `samples` are of the seed first, then of random candidates."""
    priced = all(sample.usd is not None for sample in (*samples, *filter(None, [plan.writing])))
    timed = all(sample.seconds is not None for sample in samples)
    search = plan.search.within(limits.calls)

    def total(of: Callable[[Sample], Range], most: float | None) -> Range:
        per_call = [of(sample) for sample in samples]
        found = search * _mean(per_call)
        found += plan.proposals * (_any(per_call) if plan.writing is None else of(plan.writing))
        if plan.writing is not None:
            found += of(plan.writing).scaled(plan.written)
        tested = per_call[0].scaled(plan.test) + _any(per_call).scaled(plan.test + plan.baselines)
        return found.within(most) + tested

    usd = total(lambda s: s.usd or Range(0, 0, 0), None).within(limits.usd) if priced else None
    seconds = None
    if timed:
        seconds = total(lambda s: _exactly(s.seconds or 0.0), None).scaled(1 / concurrency).within(limits.seconds)
    calls = (search + plan.proposals + _exactly(plan.written)).within(limits.calls)
    calls = calls.paid(limits.tokens, _mean([sample.tokens for sample in samples]))
    calls += _exactly(2 * plan.test + plan.baselines)
    if priced:
        calls = calls.paid(limits.usd, _mean([sample.usd or Range(0, 0, 0) for sample in samples]))
    if timed and limits.seconds is not None:
        calls = calls.paid(limits.seconds * concurrency, _mean([_exactly(sample.seconds or 0.0) for sample in samples]))
    return Forecast(calls, total(lambda s: s.tokens, limits.tokens), usd, seconds, tuple(assumed))


def _mean(per_call: Sequence[Range]) -> Range:
    """Return the mean over candidates, with Student's interval of it: candidates differ more than calls do."""
    n, mids = len(per_call), [one.mid for one in per_call]
    middle = mean(mids)
    spread = math.sqrt(sum((mid - middle) ** 2 for mid in mids) / (n - 1) / n) if n > 1 else 0.0
    slack = T95[min(n - 1, len(T95)) - 1] * spread if n > 1 else 0.0
    # No more than the cheapest and the dearest that were seen: a mean lies between them.
    low, high = max(min(mids), middle - slack), min(max(mids), middle + slack)
    return Range(
        low * _ratio(per_call, [one.low for one in per_call]),
        middle,
        high * _ratio(per_call, [one.high for one in per_call]),
    )


def _ratio(per_call: Sequence[Range], ends: Sequence[float]) -> float:
    middle = sum(one.mid for one in per_call)
    return sum(ends) / middle if middle else 1.0


def _any(per_call: Sequence[Range]) -> Range:
    """Return the range of the winner, or a baseline, which may be like any of them."""
    return Range(min(c.low for c in per_call), mean([c.mid for c in per_call]), max(c.high for c in per_call))


def _exactly(figure: float) -> Range:
    return Range(figure, figure, figure)


def _span(figure: Range, form: str) -> str:
    low, mid, high = (form.format(value) for value in (figure.low, figure.mid, figure.high))
    return mid if low == high else f"{mid} ({low}–{high})"
