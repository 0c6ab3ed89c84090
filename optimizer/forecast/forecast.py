"""What a run will take: calls, tokens, dollars and time, each as a range, and what was assumed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from optimizer.config.schema import BudgetConfig
from optimizer.evaluate.statistics import mean

# A range whose ends lie farther apart than this factor tells only how much it is at most.
WIDEST, DIGITS = 10, 2


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
        return self * _exactly(factor)

    def above(self, figure: float) -> Range:
        """Return what of this range lies above a number."""
        return Range(max(0.0, self.low - figure), max(0.0, self.mid - figure), max(0.0, self.high - figure))

    def paid(self, most: float | None, each: Range) -> Range:
        """Return this number of things, or as many as so much pays where each takes `each`."""
        if most is None or each.low <= 0:
            return self
        return Range(min(self.low, most / each.high), min(self.mid, most / each.mid), min(self.high, most / each.low))

    def within(self, most: float | None) -> Range:
        """Return this range cut at a limit."""
        return self if most is None else Range(min(self.low, most), min(self.mid, most), min(self.high, most))

    def text(self, unit: str = "") -> str:
        """Return the middle and the interval with two digits each; "up to …" where the interval tells nothing.

        `unit` stands before the figure.
        """
        low, mid, high = map(_rounded, (self.low, self.mid, self.high))
        if low == high:
            return f"{unit}{mid}"
        return f"{unit}{mid} ({low}–{high})" if 0 < self.high < WIDEST * self.low else f"up to {unit}{high}"


@dataclass(frozen=True)
class Sample:
    """What a call of one candidate takes on average; None is not known."""

    tokens: Range
    usd: Range | None
    seconds: float | None = None


@dataclass(frozen=True)
class Plan:
    """The calls of a run: `search` over all candidates, `test` for the seed, `baselines` after seed and winner.

    The winner takes as many as the seed, for each of up to `together` prompts that answer as one.
    `proposals` are calls between rounds: the prompt model's, or answers to training examples. `written` instructions
    are asked of the prompt model before the first round; None in `writing` is no prompt model. `judging` is the share
    of an answer's calls that are a judge's, which grades the answer of several prompts once.
    """

    search: Range
    test: int
    writing: Sample | None = None
    written: int = 0
    baselines: int = 0
    proposals: Range = Range(0, 0, 0)
    together: int = 1
    judging: float = 0.0

    @property
    def winner_calls(self) -> int:
        """The calls of the winner's test."""
        return round(self.test * (self.together * (1 - self.judging) + self.judging))

    @property
    def test_calls(self) -> int:
        """The calls after the search: of seed, winner and baselines."""
        return self.test + self.winner_calls + self.baselines

    @property
    def judged_calls(self) -> int:
        """Those of the calls after the search that are a judge's."""
        return round(self.judging * (2 * self.test + self.baselines))


@dataclass(frozen=True)
class Forecast:
    """What a run will take, the test included; None is not known.

    Of `calls` and `seconds`, `test_calls` and `test_seconds` are those of the test and the baselines; `judged` are
    those of the calls that are a judge's, None where none is asked. `ways` says in words what it takes in batches and
    call by call, "" where the models have none.
    """

    calls: Range
    tokens: Range
    usd: Range | None
    seconds: Range | None
    assumed: tuple[str, ...]
    test_calls: int = 0
    test_seconds: Range | None = None
    judged: Range | None = None
    ways: str = ""

    def text(self) -> str:
        """Return it in one line for a person, and a line for each assumption."""
        calls = f"search {self.calls.above(self.test_calls).text()} calls"
        calls += f", test and baselines {self.test_calls:,} calls"
        calls += "" if self.judged is None else f", {self.judged.text()} of them of the judge"
        figures = [f"{self.tokens.text()} tokens", "dollars not known" if self.usd is None else self.usd.text("$")]
        if self.seconds is not None:
            tested = f", {self.test_seconds.text()} s of them for test and baselines" if self.test_seconds else ""
            figures.append(f"{self.seconds.text()} s{tested}")
        ways = [f"  {self.ways}"] if self.ways else []
        assumed = [f"  assumed: {one}" for one in self.assumed]
        return "\n".join([f"Forecast: {calls}; {', '.join(figures)}", *ways, *assumed])


def forecast(
    plan: Plan, samples: Sequence[Sample], limits: BudgetConfig, concurrency: int, assumed: list[str]
) -> Forecast:
    """Return what a run will take; `samples` are of the seed first, then of random candidates."""
    priced = all(sample.usd is not None for sample in (*samples, *filter(None, [plan.writing])))
    timed = all(sample.seconds is not None for sample in samples)
    search = plan.search.within(limits.calls)

    def tested(of: Callable[[Sample], Range]) -> Range:
        per_call = [of(sample) for sample in samples]
        return per_call[0].scaled(plan.test) + _any(per_call).scaled(plan.winner_calls + plan.baselines)

    def total(of: Callable[[Sample], Range], most: float | None) -> Range:
        per_call = [of(sample) for sample in samples]
        searched = search * _mean(per_call)
        searched += plan.proposals * (_any(per_call) if plan.writing is None else of(plan.writing))
        if plan.writing is not None:
            searched += of(plan.writing).scaled(plan.written)
        return searched.within(most) + tested(of)

    def usd_of(sample: Sample) -> Range:
        return sample.usd or _exactly(0)

    def seconds_of(sample: Sample) -> Range:
        return _exactly((sample.seconds or 0.0) / concurrency)

    calls = (search + plan.proposals + _exactly(plan.written)).within(limits.calls)
    calls = calls.paid(limits.tokens, _mean([sample.tokens for sample in samples]))
    calls += _exactly(plan.test_calls)
    if priced:
        calls = calls.paid(limits.usd, _mean([usd_of(sample) for sample in samples]))
    if timed:
        calls = calls.paid(limits.seconds, _mean([seconds_of(sample) for sample in samples]))
    return Forecast(
        calls,
        total(lambda sample: sample.tokens, limits.tokens),
        total(usd_of, None).within(limits.usd) if priced else None,
        total(seconds_of, None).within(limits.seconds) if timed else None,
        tuple(assumed),
        plan.test_calls,
        tested(seconds_of) if timed else None,
        calls.above(plan.test_calls).scaled(plan.judging) + _exactly(plan.judged_calls) if plan.judging else None,
    )


def _mean(per_call: Sequence[Range]) -> Range:
    """Return the mean over candidates, with Student's interval of it: candidates differ more than calls do."""
    n, mids = len(per_call), [one.mid for one in per_call]
    middle, slack = mean(mids), 0.0
    if n > 1:
        error = math.sqrt(sum((mid - middle) ** 2 for mid in mids) / (n - 1) / n)
        slack = float(stdtrit(n - 1, 0.975)) * error
    # No more than the cheapest and the dearest that were seen: a mean lies between them.
    low, high = max(min(mids), middle - slack), min(max(mids), middle + slack)
    scale = sum(mids) or 1.0
    lows, highs = (sum(getattr(one, end) for one in per_call) / scale for end in ("low", "high"))
    return Range(low * lows, middle, high * highs)


def _any(per_call: Sequence[Range]) -> Range:
    """Return the range of the winner, or a baseline, which may be like any of them."""
    return Range(min(c.low for c in per_call), mean([c.mid for c in per_call]), max(c.high for c in per_call))


def _exactly(figure: float) -> Range:
    return Range(figure, figure, figure)


def _rounded(figure: float) -> str:
    """Return a number with two digits that count: 1,234 is 1,200, and 0.01234 is 0.012."""
    if figure == 0:
        return "0"
    short = float(f"{figure:.{DIGITS}g}")
    places = max(0, DIGITS - 1 - math.floor(math.log10(abs(short))))
    return f"{short:,.{places}f}".removesuffix(".0")
