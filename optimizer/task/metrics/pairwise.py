"""A judge's verdicts on two answers, asked in both orders, as one grade that no order changes."""

from __future__ import annotations

from collections.abc import Mapping

from optimizer.task.metrics.base import Grade
from optimizer.task.metrics.rubric import PREFERRED, Criterion
from optimizer.task.metrics.verdicts import Verdict

Verdicts = Mapping[str, Verdict]
_MOST = len(PREFERRED) - 1
# How an answer is beside the expected one, by its lead over it in both orders together.
_BESIDE = {-1: "worse than", -0.5: "hardly as good as", 0: "as good as", 0.5: "rather better than", 1: "better than"}


def pairwise_grade(criteria: Mapping[str, Criterion], ahead: Verdicts, behind: Verdicts) -> Grade:
    """Return the grade of an answer beside the expected one: 0 worse, 0.5 as good, 1 better, the mean of both orders.

    `ahead` are the verdicts where the answer was shown first, `behind` those where it was second; they are about what
    was first. With the two answers swapped, which swaps `ahead` and `behind`, the score is exactly 1 − score.
    """
    leads = {name: (ahead[name].level - behind[name].level) / _MOST for name in criteria}
    lead = sum(leads[name] * one.weight for name, one in criteria.items()) / _total(criteria)
    remarks = [
        f"{name}: {_BESIDE[leads[name]]} the expected answer, {ahead[name].reason}"
        for name in criteria
        if leads[name] < 1
    ]
    feedback = "; ".join(remarks) or "better than the expected answer by each criterion"
    # A multiple of 2⁻³¹: what is added to 0.5 then, or taken from 1, is not rounded.
    value = 0.5 + round(lead * 2**30) / 2**31
    return Grade(value, feedback, {name: 0.5 + one / 2 for name, one in leads.items()})


def preference(criteria: Mapping[str, Criterion], ahead: Verdicts, behind: Verdicts) -> tuple[float, bool]:
    """Return how far the first place is preferred, and whether both orders give the same verdicts.

    The preference goes from −0.5, always the second, to 0.5, always the first.
    """
    first = sum((ahead[name].level + behind[name].level) * one.weight for name, one in criteria.items())
    same = all(ahead[name].level == _MOST - behind[name].level for name in criteria)
    return first / (2 * _MOST * _total(criteria)) - 0.5, same


def _total(criteria: Mapping[str, Criterion]) -> float:
    return sum(criterion.weight for criterion in criteria.values())
