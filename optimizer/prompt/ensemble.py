"""Several prompts that answer as one: what they say of each label is added up, or the answer is that of the most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from optimizer.prompt.formatted import NoLabel, PromptedPredict
from optimizer.prompt.readout import choose, labels_of
from optimizer.task.metrics.agreement import Agreement, most_agreed
from optimizer.types import Prompt


class Ensemble(dspy.Module):
    """Asks each of its predictors, and gives one answer for all of them.

    Where labels are read from log-probabilities, it is the label that all of them together hold the likeliest: the
    log-probabilities of a label are added up, as if the predictors knew different things (a product of experts; Hinton
    2002, doi:10.1162/089976602760128018). What a predictor does not tell is taken to be what the others tell on
    average. Else it is the answer with which the others agree the most (`most_agreed`). An answer that cannot be read
    has no say; where none can be, the first one's AdapterParseError is raised, which is NoLabel where labels are read.
    """

    def __init__(self, members: Sequence[PromptedPredict], prompt: Prompt, agree: Agreement) -> None:
        """`prompt` has the readout and the calibration of the whole."""
        super().__init__()
        self.members, self._prompt, self._agree = list(members), prompt, agree

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Answer one input."""
        outcomes: list[Any] = []
        for member in self.members:
            try:
                outcomes.append(member(**inputs))
            except AdapterParseError as problem:
                outcomes.append(problem)
        return self._joined(outcomes)

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """Answer one input, asynchronously; one call after the other, as every program's."""
        outcomes: list[Any] = []
        for member in self.members:
            try:
                outcomes.append(await member.acall(**inputs))
            except AdapterParseError as problem:
                outcomes.append(problem)
        return self._joined(outcomes)

    def _joined(self, outcomes: Sequence[Any]) -> dspy.Prediction:
        answered = [outcome for outcome in outcomes if not isinstance(outcome, AdapterParseError)]
        labels, likely = labels_of(self.members[0].signature), [one for one in map(_logprobs, outcomes) if one]
        if labels is not None and likely:
            total = summed(likely, len(outcomes))
            prediction = answered[0] if answered else dspy.Prediction()
            prediction["label_logprobs"] = total
            prediction[labels.field] = labels.value(choose(self._prompt, total))
            return prediction
        if not answered:
            raise outcomes[0]
        return answered[most_agreed([dict(one.items()) for one in answered], self._agree)]


def summed(likely: Sequence[Sequence[float]], asked: int) -> tuple[float, ...]:
    """Return the log-probability of each label by all that were `asked`, of whom some told what they hold likely."""
    return tuple(asked / len(likely) * sum(of_label) for of_label in zip(*likely, strict=True))


def _logprobs(outcome: Any) -> tuple[float, ...]:
    """Return what a predictor told of each label; empty where it told nothing."""
    if isinstance(outcome, AdapterParseError):
        return (outcome.logprobs if isinstance(outcome, NoLabel) else None) or ()
    return outcome.get("label_logprobs") or ()
