"""A judge's rubric as a task.yaml writes it: criteria, each with a scale and a weight."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, StrictBool, field_validator, model_validator

from optimizer.config.strict import Strict
from optimizer.task.metrics.match import named_labels
from optimizer.task.text import fold

MOST_CRITERIA, MOST_LEVELS = 20, 101
# What an answer is beside the expected one, and which of two is better; from the worst to the best for the first.
COMPARED, PREFERRED = ("worse", "equal", "better"), ("second", "equal", "first")
_NAME = re.compile(r"[^\W\d_][\w -]{0,38}\w")
# Words around a number that say no other number: 4, <4>, **4**, 4/5, 4 out of 5, 4 (good).
_NUMBER = re.compile(r"[^\w.+-]*(?P<number>[+-]?[0-9]+)(?:\.0+)?(?:\s*(?:/|out of|of)\s*(?P<most>[0-9]+))?(?P<rest>.*)")


class Criterion(Strict):
    """One thing that an answer is graded for: on a scale from the worst grade to the best, with a weight."""

    description: str = Field(min_length=1)
    scale: tuple[int, int] | tuple[str, ...] = (1, 5)
    weight: float = Field(1.0, gt=0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"description": value} if isinstance(value, str) else value

    @field_validator("scale", mode="before")
    @classmethod
    def _numbers_or_labels(cls, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise ValueError("write the ends of the scale, as in [1, 5], or labels from worst to best: [poor, good]")
        numbers = [one for one in value if isinstance(one, int) and not isinstance(one, bool)]
        labels = [one for one in value if isinstance(one, str)]
        if len(numbers) == len(value) == 2:
            low, high = numbers
            if not low < high < low + MOST_LEVELS:
                raise ValueError(f"a scale goes from the worst whole number to the best, at most {MOST_LEVELS - 1} up")
            return low, high
        if len(labels) < len(value):
            raise ValueError("write two whole numbers, as in [1, 5], or labels, each as text in quotes: ['no', 'yes']")
        if not 2 <= len(labels) <= MOST_LEVELS or any(not fold(one) for one in labels):
            raise ValueError("a scale needs at least two labels, none of them empty, from worst to best")
        if len({fold(one) for one in labels}) < len(labels):
            raise ValueError("two labels of the scale differ at most in case; rename or remove one")
        return tuple(one.strip() for one in labels)

    @property
    def levels(self) -> tuple[str, ...]:
        """The grades as words, from the worst to the best."""
        first, last = self.scale[0], self.scale[-1]
        if isinstance(first, int) and isinstance(last, int):
            return tuple(map(str, range(first, last + 1)))
        return tuple(map(str, self.scale))

    @property
    def is_numeric(self) -> bool:
        """Whether the grades are numbers, not labels."""
        return isinstance(self.scale[0], int)

    @property
    def grades(self) -> str:
        """The scale in words, for whoever grades."""
        if self.is_numeric:
            return f"a whole number from {self.levels[0]} (worst) to {self.levels[-1]} (best)"
        return f"one of {', '.join(self.levels)} (from worst to best)"

    def share(self, level: int) -> float:
        """Return what a grade is worth in [0, 1], by its number: 0 is the worst."""
        return level / (len(self.levels) - 1)

    def level_in(self, words: str) -> int | None:
        """Return the number of the one grade that is written in some words; None where there is none, or several."""
        if not self.is_numeric:
            named = named_labels(words, self.levels)
            return self.levels.index(named[0]) if len(named) == 1 else None
        match = _NUMBER.fullmatch(words.strip())
        if match is None or re.search(r"\d", match["rest"]) or match["most"] not in (None, self.levels[-1]):
            return None
        number = str(int(match["number"]))
        return self.levels.index(number) if number in self.levels else None


class Preference(Criterion):
    """One thing by which two answers are compared."""

    scale: tuple[int, int] | tuple[str, ...] = PREFERRED

    @property
    def grades(self) -> str:
        """The scale in words, for whoever compares."""
        return "first, equal or second"


class JudgeOptions(Strict):
    """What a judge grades, and what it is shown for it."""

    criteria: dict[str, Criterion] = Field(default_factory=dict)
    rubric: tuple[str, ...] = ()
    reference: StrictBool = True
    inputs: StrictBool = True
    each: StrictBool = False
    prompt: str | None = None
    pairwise: StrictBool = False

    @field_validator("criteria")
    @classmethod
    def _names_can_be_told_apart(cls, criteria: dict[str, Criterion]) -> dict[str, Criterion]:
        for name in criteria:
            if not _NAME.fullmatch(name) or bare_name(name) in ("reason", "grade"):
                raise ValueError(f"{name!r:.60} cannot be a criterion's name; use a few letters, as in accuracy")
        if len({bare_name(name) for name in criteria}) < len(criteria):
            raise ValueError("two criteria have nearly the same name; rename one")
        return criteria

    @model_validator(mode="after")
    def _one_form(self) -> JudgeOptions:
        if bool(self.criteria) == bool(self.rubric):
            both = "not both" if self.criteria else "neither is there"
            raise ValueError(f"give criteria, as in {{accuracy: The facts are right.}}, or rubric, a list: {both}")
        if max(len(self.criteria), len(self.rubric)) > MOST_CRITERIA:
            raise ValueError(f"a rubric has at most {MOST_CRITERIA} criteria")
        if any(not text.strip() for text in self.rubric):
            raise ValueError("a text of the rubric is empty; remove it")
        return self

    @model_validator(mode="after")
    def _can_be_compared(self) -> JudgeOptions:
        if not self.pairwise:
            return self
        if not self.reference:
            raise ValueError("pairwise compares with the expected answer, so reference cannot be false")
        if self.prompt is not None:
            raise ValueError("a tuned prompt grades one answer, and pairwise compares two; leave one of them out")
        for name, criterion in self.criteria.items():
            if "scale" in criterion.model_fields_set:
                raise ValueError(f"{name} has a scale, and pairwise has its own: {', '.join(COMPARED)}; leave it out")
        return self

    @property
    def named(self) -> Mapping[str, Criterion]:
        """The criteria by their names; the texts of a plain rubric are point_1, point_2 and so on."""
        points = {f"point_{number}": Criterion(description=text) for number, text in enumerate(self.rubric, 1)}
        named = self.criteria or points
        if not self.pairwise:
            return named
        return {name: criterion.model_copy(update={"scale": COMPARED}) for name, criterion in named.items()}

    @property
    def preferences(self) -> Mapping[str, Criterion]:
        """The criteria as they are asked about two answers."""
        return {name: Preference(description=one.description, weight=one.weight) for name, one in self.named.items()}


def bare_name(name: str) -> str:
    """Return a criterion's name without what a judge might write otherwise: case, and what joins its words."""
    return " ".join(re.sub(r"[\W_]+", " ", name.casefold()).split())
