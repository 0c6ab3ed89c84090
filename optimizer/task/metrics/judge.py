"""judge: a language model grades an answer by a rubric, criterion by criterion, its reason first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from optimizer.errors import CallError, TaskError
from optimizer.task.metrics.base import Grade
from optimizer.task.metrics.own import UNREAD
from optimizer.task.metrics.pairwise import pairwise_grade, preference
from optimizer.task.metrics.rubric import Criterion, JudgeOptions
from optimizer.task.metrics.tuned import AskGrade, TunedPrompt
from optimizer.task.metrics.verdicts import (
    Request,
    UnreadableVerdict,
    Verdict,
    comparison,
    complaint,
    read_verdicts,
    request,
    templates,
)
from optimizer.types import Example, digest

NAME, CODE = "judge", "1"  # raise the code when the same reply may be read otherwise
# Tokens of a reply: so many, and so many more for each criterion.
REPLY, REPLY_EACH = 128, 128
# What a judge is shown again of a reply that could not be read.
MOST_REPLY = 2000


class Ask(Protocol):
    """Asks the judge's model."""

    async def __call__(self, told: str, turns: Sequence[tuple[str, str]], request: str) -> str:
        """Return the reply to a request; `turns` are the requests and replies before it.

        Raises CallError for a call that failed, and what ends a run.
        """


@dataclass(frozen=True)
class JudgeMetric:
    """Grades answers by a rubric; `model` and `ask` are there once it is bound to a model.

    The score is the mean of the criteria's grades, each from 0 (the worst of its scale) to 1 (the best), by their
    weights. (G-Eval, Liu et al., arXiv:2303.16634, without its weighting of grades by their probabilities.)

    With a `tuned` prompt the model is asked for one grade in a call, through `ask_grade`, and gives no reasons.

    With `options.pairwise` the answer is compared with the expected one, in both orders, as judges prefer one of two
    places (Wang et al., arXiv:2305.17926): see `pairwise_grade`.
    """

    options: JudgeOptions
    model: str | None = None
    ask: Ask | None = field(default=None, compare=False, repr=False)
    name: str = NAME
    tuned: TunedPrompt | None = None
    ask_grade: AskGrade | None = field(default=None, compare=False, repr=False)

    def bound(self, model: str, ask: Ask, ask_grade: AskGrade | None = None) -> JudgeMetric:
        """Return this metric with a model to ask."""
        return replace(self, model=model, ask=ask, ask_grade=ask_grade)

    @property
    def criteria(self) -> Mapping[str, Criterion]:
        """The rubric's criteria, by name."""
        return self.options.named

    @cached_property
    def rubric_digest(self) -> str:
        """Digits that change with whatever the judge is asked, its model apart."""
        said = self.options.model_dump(exclude={"prompt", "pairwise"})
        tuned = [] if self.tuned is None else [self.tuned.digest]
        return digest([CODE, said, templates(self.options.pairwise), *tuned])

    @property
    def version(self) -> str:
        """Changes with rubric, template and model."""
        return self.rubric_digest if self.model is None else f"{self.rubric_digest}-{digest(self.model, 8)}"

    @property
    def calls(self) -> int:
        """How many calls one grade takes, if each reply can be read."""
        return len(self._asked) * (2 if self.options.pairwise else 1)

    @property
    def reply_tokens(self) -> int:
        """How many tokens a reply may have where nobody sets a limit."""
        return REPLY + REPLY_EACH * max(map(len, self._asked))

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return (score in [0, 1], feedback); it waits for the judge, so not within an event loop."""
        grade = asyncio.run(self.grade(example, answer))
        return grade.value, grade.feedback

    async def grade(self, example: Example, answer: Mapping[str, Any] | None) -> Grade:
        """Return the score, the reasons of what is not the best, and each criterion's score.

        Raises CallError where the judge fails, or twice replies what cannot be read; TaskError where no model is bound.
        """
        if answer is None:
            return Grade(*UNREAD, parts=dict.fromkeys(self.criteria, 0.0))
        if self.tuned is not None:
            return self._grade(await self._tuned_verdicts(example, answer))
        if self.options.pairwise:
            return pairwise_grade(self.criteria, *await self._both_orders(example, answer))
        verdicts: dict[str, Verdict] = {}
        for criteria in self._asked:
            verdicts |= await self._verdicts(criteria, self._request(criteria, example, answer))
        return self._grade(verdicts)

    async def preference(self, example: Example, answer: Mapping[str, Any]) -> tuple[float, bool]:
        """Return how far the judge prefers what it is shown first, and whether both orders give the same verdicts.

        The preference is from −0.5, always the second, to 0.5. It asks what `grade` asks; see there for errors.
        """
        return preference(self.criteria, *await self._both_orders(example, answer))

    def requests(self, example: Example, answer: Mapping[str, Any]) -> list[Request]:
        """Return what the judge is asked in each call of one grade; of a tuned prompt about that."""
        if self.tuned is not None:
            return [Request(self.tuned.messages, [], shown) for shown in self.grading(example, answer)]
        if self.options.pairwise:
            return [one for criteria in self._asked for one in self._comparisons(criteria, example, answer)]
        return [self._request(criteria, example, answer) for criteria in self._asked]

    def grading(self, example: Example, answer: Mapping[str, Any]) -> list[str]:
        """Return the input of a tuned prompt for each criterion."""
        return [self._request({name: one}, example, answer).shown for name, one in self.criteria.items()]

    def _request(self, criteria: Mapping[str, Criterion], example: Example, answer: Mapping[str, Any]) -> Request:
        inputs = example.inputs if self.options.inputs else {}
        return request(criteria, inputs, example.outputs if self.options.reference else {}, answer)

    @property
    def _asked(self) -> list[Mapping[str, Criterion]]:
        criteria = self.options.preferences if self.options.pairwise else self.criteria
        if self.options.each or self.tuned is not None:
            return [{name: criterion} for name, criterion in criteria.items()]
        return [criteria]

    def _comparisons(
        self, criteria: Mapping[str, Criterion], example: Example, answer: Mapping[str, Any]
    ) -> tuple[Request, Request]:
        """Return what is asked with the answer before the expected one, and behind it."""
        inputs = example.inputs if self.options.inputs else {}
        expected = example.outputs
        return comparison(criteria, inputs, answer, expected), comparison(criteria, inputs, expected, answer)

    async def _both_orders(
        self, example: Example, answer: Mapping[str, Any]
    ) -> tuple[dict[str, Verdict], dict[str, Verdict]]:
        """Return the verdicts with the answer before the expected one, and behind it; they are about what is first."""
        ahead: dict[str, Verdict] = {}
        behind: dict[str, Verdict] = {}
        for criteria in self._asked:
            for verdicts, asked in zip((ahead, behind), self._comparisons(criteria, example, answer), strict=True):
                verdicts.update(await self._verdicts(criteria, asked))
        return ahead, behind

    async def _verdicts(self, criteria: Mapping[str, Criterion], asked: Request) -> dict[str, Verdict]:
        if self.ask is None:
            raise TaskError("the metric judge has no model to ask", "Name one: models.judge in the run's YAML.")
        reply = await self.ask(asked.told, asked.turns, asked.shown)
        try:
            return read_verdicts(criteria, reply)
        except UnreadableVerdict as problem:
            again = complaint(criteria, str(problem))
        reply = await self.ask(asked.told, [*asked.turns, (asked.shown, reply[:MOST_REPLY])], again)
        try:
            return read_verdicts(criteria, reply)
        except UnreadableVerdict as problem:
            raise CallError(
                "malformed", f"the judge was asked twice, and its reply cannot be read: {problem}"
            ) from None

    def grade_of(self, words: Sequence[str]) -> Grade | None:
        """Return the grade of an answer from the words in which a tuned judge grades it by each criterion, in order.

        None where one of them is no grade of its criterion's scale.
        """
        levels = [one.level_in(said) for one, said in zip(self.criteria.values(), words, strict=True)]
        known = {
            name: Verdict(level, "") for name, level in zip(self.criteria, levels, strict=True) if level is not None
        }
        return self._grade(known) if len(known) == len(levels) else None

    async def _tuned_verdicts(self, example: Example, answer: Mapping[str, Any]) -> dict[str, Verdict]:
        if self.ask_grade is None:
            raise TaskError("the metric judge has no model to ask", "Name one: models.judge in the run's YAML.")
        verdicts = {}
        for (name, criterion), shown in zip(self.criteria.items(), self.grading(example, answer), strict=True):
            words = await self.ask_grade(shown)
            if (level := criterion.level_in(words)) is None:
                raise CallError("malformed", f"the judge's grade of '{name}' is not {criterion.grades}: {words:.60}")
            verdicts[name] = Verdict(level, "")
        return verdicts

    def _grade(self, verdicts: Mapping[str, Verdict]) -> Grade:
        parts = {name: criterion.share(verdicts[name].level) for name, criterion in self.criteria.items()}
        weights = {name: criterion.weight for name, criterion in self.criteria.items()}
        value = sum(parts[name] * weight for name, weight in weights.items()) / sum(weights.values())
        remarks = [self._remark(name, verdicts[name]) for name, share in parts.items() if share < 1]
        return Grade(min(1.0, value), "; ".join(remarks) or "the best grade for each criterion", parts)

    def _remark(self, name: str, verdict: Verdict) -> str:
        levels = self.criteria[name].levels
        reason = f", {verdict.reason}" if verdict.reason else f": {self.criteria[name].description}"
        return f"{name}: {levels[verdict.level]} of {levels[-1]}{reason}"
