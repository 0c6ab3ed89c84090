"""Whether a prompt may move to another model: not worse than today's by a margin, for several models at one error.

For each model two prompts may be claimed to lose less than the margin: the one as it is, and the one that was tuned for
the model. "Do not move" is a claim as well: that both lose more. What is claimed is that the difference new − today, on
the same examples, lies above −margin, or below it.

False "moves". The tuned prompt is asked about first, and the prompt as it is only where the tuned one was shown to
lose less: a fixed sequence within a model. For whoever moves wants to know if tuning was needed, and a prompt that was
chosen on validation examples, with the old one among its rivals, is seldom the worse of the two. Between models the
error is divided by Holm's rule (1979): each of the k models whose sequence is not done is asked at error / k, anew
where k falls.

Why that holds the error for all models together: let n models have an untrue claim. Such a model's sequence cannot be
done before an untrue claim of it was made. So up to the first false claim of all k is n or more, and whatever was
claimed was asked at error / n or less. The first false claim is the first untrue one in the sequence of its model, and
there are n such claims, one a model: the chance that any of their bounds is wrong at error / n is n · error / n at the
most. It does not matter how the models' answers depend on each other, nor that all are compared with the same answers
of today's prompt. (It is one of the graphical procedures of Bretz et al. 2009, doi:10.1002/sim.3495: what is claimed
hands its error on to the next claim of its model, and the last one hands it to the other models.)

False "do not move" are a family of their own, at the same error and again by Holm's rule. There is one claim a model,
made where both prompts are below −margin at error / k each: where one of the two is not, the claim is false with the
chance of that one bound at most.

The bounds are those of the verdict (`bounded.py`, `aggregate.py`) at another error, by default `ERROR` a family.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np

from optimizer.evaluate.aggregate import MEAN, Aggregate, Result, filled
from optimizer.evaluate.bounded import mean_interval
from optimizer.evaluate.statistics import Interval, variance
from optimizer.types import Score

Verdict = Literal["moves as it is", "moves after tuning", "do not move", "cannot be told"]
# Of each family of claims. A bound may miss a little more than it says: 0.031 / 0.025 times as often with few examples
# that are right or wrong, and a tenth more than that with graded ones (see TAIL). So the families stay below 3 %.
ERROR = 0.02
# The share of a prompt's answers that may be missing, or of its readable ones cut off, in what is claimed of it.
MOST_MISSING, MOST_CUT = 0.2, 0.02
# How surely `enough` examples would tell, and with more of them than this nobody is served.
POWER, MOST_EXAMPLES = 0.8, 1_000_000


class Bounds(Protocol):
    """What is known of one difference, new − today."""

    def least(self, error: float) -> float:
        """Return a bound that the true difference is below with a chance of at most about `error`."""

    def most(self, error: float) -> float:
        """Return a bound that the true difference is above with a chance of at most about `error`."""


@dataclass(frozen=True)
class Tried:
    """What was tried on one model; `tuned` is None where tuning came to the prompt as it is."""

    as_it_is: Bounds
    tuned: Bounds | None

    @property
    def claims(self) -> Sequence[tuple[Verdict, Bounds]]:
        """What may be claimed of moving, in this order: each claim only where those before it are shown."""
        last: tuple[Verdict, Bounds] = ("moves as it is", self.as_it_is)
        return [last] if self.tuned is None else [("moves after tuning", self.tuned), last]

    def most(self, error: float) -> float:
        """Return a bound that no prompt's true difference is above, each with a chance of at most about `error`."""
        return max(bounds.most(error) for _, bounds in self.claims)


@dataclass(frozen=True)
class Decided:
    """One model's verdict, and the `error` at which its last claim was asked about."""

    verdict: Verdict
    error: float


def decide(models: Sequence[Tried], margin: float, error: float = ERROR) -> list[Decided]:
    """Return each model's verdict, in the order of the models; the module says what holds for all of them together.

    `margin`, above 0, is in units of the score. A family of no models has no verdicts.
    """
    shown, level = _moves(models, margin, error)
    worse = _falls(models, margin, error)
    verdicts = []
    for number, tried in enumerate(models):
        verdict: Verdict = "do not move" if number in worse else "cannot be told"
        if shown[number]:
            verdict = tried.claims[shown[number] - 1][0]
        verdicts.append(Decided(verdict, level))
    return verdicts


def _moves(models: Sequence[Tried], margin: float, error: float) -> tuple[list[int], float]:
    """Return how many claims of each model are shown, and the error at which the last ones were asked about."""
    shown, asked = [0] * len(models), set(range(len(models)))
    level = error
    while asked:
        level = error / len(asked)
        claims = {number: models[number].claims[shown[number]][1] for number in asked}
        holds = [number for number, bounds in claims.items() if bounds.least(level) > -margin]
        if not holds:
            break
        for number in holds:
            shown[number] += 1
        asked -= {number for number in holds if shown[number] == len(models[number].claims)}
    return shown, level


def _falls(models: Sequence[Tried], margin: float, error: float) -> set[int]:
    """Return the models on which every prompt is shown to lose more than the margin."""
    asked = set(range(len(models)))
    while asked:
        level = error / len(asked)
        below = {number for number in asked if models[number].most(level) < -margin}
        if not below:
            break
        asked -= below
    return set(range(len(models))) - asked


@dataclass(frozen=True)
class Paired:
    """A prompt on a new model beside today's, result by result on the same examples.

    A missing answer is counted against what is claimed, as the verdict of a run does, and so is one that was cut off at
    its limit of tokens, where these are more than 2 %. Where more than a fifth of the new model's answers are missing,
    or every call of one side failed, the bounds tell nothing. Raises ValueError for unequal lengths.
    """

    new: Sequence[Result]
    today: Sequence[Result]
    aggregate: Aggregate = MEAN

    def __post_init__(self) -> None:
        if len(self.new) != len(self.today):
            raise ValueError(f"paired results need equal lengths, not {len(self.new)} and {len(self.today)}")

    @cached_property
    def answered(self) -> tuple[list[Score], list[Score]]:
        """The scores of both on the examples that both have answered."""
        pairs = zip(self.new, self.today, strict=True)
        both = [(a, b) for a, b in pairs if isinstance(a, Score) and isinstance(b, Score)]
        return [a for a, _ in both], [b for _, b in both]

    @property
    def examples(self) -> int:
        """How many examples both have answered."""
        return len(self.answered[0])

    @property
    def gain(self) -> tuple[float, Interval]:
        """The difference new − today on these, and its 95 % interval."""
        return self.aggregate.difference(*self.answered)

    @property
    def tells(self) -> bool:
        """Whether there are answers enough to claim anything."""
        missing = sum(not isinstance(one, Score) for one in self.new)
        silent = any(all(one.failed for one in side) for side in (self.new, self.today))
        return self.examples > 0 and not silent and missing <= MOST_MISSING * len(self.new)

    def least(self, error: float) -> float:
        """Return the lower bound, with what is missing or cut off counted against the new model."""
        if not self.tells:
            return -math.inf
        today = _as_if_right(self.today, self.aggregate) if _cut(self.today) > max(MOST_CUT, _cut(self.new)) else None
        return self._known(error, False, None if today is None else (self.new, today))[0]

    def most(self, error: float) -> float:
        """Return the upper bound, with what is missing or cut off counted for the new model."""
        if not self.tells:
            return math.inf
        new = _as_if_right(self.new, self.aggregate) if _cut(self.new) > MOST_CUT else None
        return self._known(error, True, None if new is None else (new, self.today))[1]

    def _known(
        self, error: float, ours: bool, finished: tuple[Sequence[Result], Sequence[Result]] | None
    ) -> tuple[float, float]:
        """Return the widest interval: of what both answered, and with what is missing as if it were right, or wrong."""
        intervals = [self.aggregate.difference(*self.answered, error)[1]]
        # An example that both lack tells neither from the other.
        lacking = any(isinstance(a, Score) != isinstance(b, Score) for a, b in zip(self.new, self.today, strict=True))
        for new, today in [*([(self.new, self.today)] if lacking else []), *([finished] if finished else [])]:
            pairs = zip(new, today, strict=True)
            intervals.append(self.aggregate.difference(*filled(self.aggregate, pairs, ours, not ours), error)[1])
        return min(low for low, _ in intervals), max(high for _, high in intervals)

    def enough(self, margin: float, error: float) -> int | None:
        """Return how many examples would tell; see `enough`. None where nothing is known of the differences."""
        if not self.tells:
            return None
        pairs = zip(*(self.aggregate.numbers(side) for side in self.answered), strict=True)
        return enough([a - b for a, b in pairs], margin, error, bounded=self.aggregate is MEAN)


def enough(differences: Sequence[float], margin: float, error: float = ERROR, *, bounded: bool = True) -> int | None:
    """Return how many examples would show on which side of −margin the difference lies; None for over a million.

    They show it four times of five, at an `error`, if the true difference is the mean of these paired differences, and
    their spread the true spread. `bounded` tells that they lie in [−1, 1], so that `mean_interval` is what is asked;
    else it is a normal interval. The mean is that of few examples, so where it lies near −margin the number says little
    more than "many".
    """
    values = np.asarray(differences, dtype=float)
    gap = float(values.mean()) + margin
    if gap < 0:
        values, margin, gap = -values, -margin, -gap
    deviation = math.sqrt(variance(values.tolist()))

    def told(examples: int) -> bool:
        luck = _deviate(1 - POWER) * deviation / math.sqrt(examples)
        if not bounded:
            return gap > luck + _deviate(error) * deviation / math.sqrt(examples)
        kinds, counts = np.unique(values, return_counts=True)
        low = mean_interval(kinds, counts * (examples / len(values)), error)[0]
        return float(low) - luck > -margin

    few, many = 0, 1
    while not told(many):
        few, many = many, 2 * many
        if few >= MOST_EXAMPLES:
            return None
    while many - few > max(1, few // 100):
        middle = (few + many) // 2
        few, many = (few, middle) if told(middle) else (middle, many)
    return many


def enough_for(prompts: Sequence[Paired], margin: float, error: float) -> int | None:
    """Return how many examples would tell of a model, given what was tried on it: that one moves, or that none does.

    One is enough where the differences of some lie above −margin as they are seen; else all have to be below it.
    """
    known = [one for one in prompts if one.tells]
    if not known:
        return None
    above = [one for one in known if one.gain[0] > -margin]
    numbers = [one.enough(margin, error) for one in above or known]
    some = [number for number in numbers if number is not None]
    if above:
        return min(some, default=None)
    return max(some) if len(some) == len(numbers) else None


def _deviate(chance: float) -> float:
    from scipy.special import ndtri

    return -float(ndtri(chance))


def _cut(results: Sequence[Result]) -> float:
    answers = [one for one in results if isinstance(one, Score)]
    return sum(_is_cut(one) for one in answers) / max(1, len(answers))


def _is_cut(score: Score) -> bool:
    return score.cut or score.failure == "truncated"


def _as_if_right(results: Sequence[Result], aggregate: Aggregate) -> list[Result]:
    return [aggregate.as_if(one, True) if isinstance(one, Score) and _is_cut(one) else one for one in results]
