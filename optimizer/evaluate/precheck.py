"""Before the search: the seed's score, its noise, answers that are no label, and what gain can be told from luck."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from optimizer.door.door import repetition_of_call
from optimizer.errors import BudgetSpent
from optimizer.evaluate.aggregate import MEAN, Aggregate, answers
from optimizer.evaluate.evaluator import Evaluator, Result, phase_tag
from optimizer.evaluate.statistics import detectable, noise_of, variance
from optimizer.prompt.template import unnamed_labels
from optimizer.task.metrics.match import named_labels
from optimizer.task.task import Task
from optimizer.types import RAISED, Candidate, Example, Score

EXAMPLES, REPEATS, SHOWN = 10, 2, 3
# Of a limit on short answers: the least one, and how many times what the seed needs.
LEAST_LIMIT, ROOM = 512, 4


@dataclass(frozen=True)
class Precheck:
    """The seed's first examples, answered once and again in `repeats`; the race is `planned` long.

    `labels` are those of each output that has some, and `unnamed` those which the seed, as it is sent, does not name.
    """

    results: list[Result]
    repeats: list[list[Result]]
    planned: int
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unnamed: Sequence[str] = ()
    aggregate: Aggregate = MEAN

    @property
    def scores(self) -> list[float]:
        """The scores of the first answers."""
        return [result.value for result in self.results if isinstance(result, Score)]

    @property
    def score(self) -> float:
        """The score of the first answers together."""
        return self.aggregate.score(answers(self.results))

    @property
    def cut(self) -> int:
        """How many of the first answers ended at their limit of tokens, not by themselves."""
        return sum(result.cut for result in self.results if isinstance(result, Score))

    @property
    def enough_tokens(self) -> int | None:
        """A limit that no answer like these comes near; None where one of them was cut, or is not there.

        It is four times the longest, for other prompts may let the model think before it answers.
        """
        scores = [result for result in self.results if isinstance(result, Score)]
        if self.cut or len(scores) < len(self.results):
            return None
        return max(LEAST_LIMIT, ROOM * max(score.longest for score in scores))

    @property
    def noise(self) -> float:
        """The variance of one example's score when it is asked again; 0 where it was not."""
        rows = zip(self.results, *self.repeats, strict=True)
        return noise_of([[r.value for r in row if isinstance(r, Score)] for row in rows])

    @property
    def detectable(self) -> float:
        """The smallest gain that will not look like luck."""
        return detectable(variance(self.scores), self.noise, self.planned)

    @property
    def no_label(self) -> int:
        """How many of the first answers do not hold the label that they should."""
        answers = [r.answer for r in self.results if isinstance(r, Score) and not r.failed and RAISED not in r.answer]
        return sum(
            any(len(named_labels(str(answer.get(name, "")), labels)) != 1 for name, labels in self.labels.items())
            for answer in answers
        )

    def text(self) -> str:
        """Return what a person should know before waiting for the search."""
        again = ""
        if self.repeats:
            again = f" (asked {1 + len(self.repeats)} times, one answer's score varies by ±{100 * self.noise**0.5:.0f})"
        return (
            f"Pre-check: the seed scores {100 * self.score:.0f} of 100 on its first {len(self.scores)} "
            f"examples{again}; with {self.planned} validation examples, gains under "
            f"{100 * self.detectable:.0f} points will look like luck.{self._told_labels()}"
            f"{self._told_cut()}"
        )

    def _told_cut(self) -> str:
        if not self.cut:
            return ""
        return f" {self.cut} of {len(self.scores)} answers were cut off at their limit: raise models.task.max_tokens."

    def _told_labels(self) -> str:
        if not self.no_label:
            return ""
        problem = f" {self.no_label} of {len(self.scores)} answers are no label"
        if not self.unnamed:
            return f"{problem}."
        if len(self.unnamed) == sum(map(len, self.labels.values())):
            return f"{problem}: your prompt does not name the choices."
        more = ", …" if len(self.unnamed) > SHOWN else ""
        return f"{problem}: your prompt does not name {', '.join(self.unnamed[:SHOWN])}{more}."


async def precheck(
    evaluator: Evaluator, task: Task, seed: Candidate, examples: Sequence[Example], paid: int | None = None
) -> Precheck | None:
    """Score the seed's first examples, repeatedly where the model samples; None if none answered.

    The repetitions are the only calls that the search would not make anyway. Of the program's answers that are
    `paid` for by the budget they take no more than a tenth.
    """
    first = examples[:EXAMPLES]
    times = REPEATS if evaluator.lm.kwargs.get("temperature") else 0
    if paid is not None:
        times = min(times, paid // (10 * max(1, len(first))))
    rows: list[list[Result]] = []
    for number in range(1 + times):
        split = "validation" if number == 0 else f"validation, repeated {number}"
        try:
            rows.append(await asyncio.ensure_future(_repetition(evaluator, seed, first, split, number)))
        except BudgetSpent:
            break
    if not rows or not any(isinstance(result, Score) for result in rows[0]):
        return None
    labels = {name: spec.choices for name, spec in task.outputs.items() if spec.choices}
    return Precheck(rows[0], rows[1:], len(examples), labels, unnamed_labels(task, seed), evaluator.aggregate)


async def _repetition(
    evaluator: Evaluator, seed: Candidate, examples: Sequence[Example], split: str, number: int
) -> list[Result]:
    repetition_of_call.set(number)  # in this task only
    return await evaluator.run(seed, examples, split, 0, phase_tag("search", 0))
