"""nearness: how near a judge's grade is to a person's. Only the tuning of a judge uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optimizer.task.metrics.base import BuiltIn
from optimizer.task.metrics.rubric import Criterion
from optimizer.task.metrics.tuned import GRADE
from optimizer.types import Example, digest

# The slice of an example that says by which criterion the answer is graded.
CRITERION = "criterion"
NAME = "nearness"


@dataclass(frozen=True)
class Nearness(BuiltIn):
    """Scores 1 − |judge's grade − person's| / (grades of the scale − 1), and 0 for what is no grade of the scale."""

    criteria: Mapping[str, Criterion]
    version: str
    name: str = NAME

    @classmethod
    def of(cls, criteria: Mapping[str, Criterion]) -> Nearness:
        """Return it for some criteria; its version changes with their scales."""
        return cls(criteria, f"1-{digest([[name, *one.levels] for name, one in criteria.items()], 8)}")

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return (score in [0, 1], both grades in words)."""
        criterion, person = self.criteria[example.slices[CRITERION]], str(example.outputs[GRADE])
        seen = "" if answer is None else str(answer.get(GRADE) or "")
        right, level = criterion.level_in(person), criterion.level_in(seen)
        if right is None or level is None:
            return 0.0, f"a person gave {person}; the judge's reply is no grade of the scale"
        if right == level:
            return 1.0, f"a person gave {person}, too"
        too = "mild" if level > right else "hard"
        return 1 - criterion.share(abs(level - right)), f"a person gave {person}, the judge {seen}: too {too}"
