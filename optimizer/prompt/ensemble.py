"""Several prompts that answer as one: for each label what they say of it is added up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dspy

from optimizer.prompt.formatted import NoLabel, PromptedPredict
from optimizer.prompt.readout import choose, labels_of
from optimizer.types import Prompt


class Ensemble(dspy.Module):
    """Asks each of its predictors, and answers with the label that all of them together hold the likeliest.

    The log-probabilities of a label are added up, as if the predictors knew different things (a product of experts;
    Hinton 2002, doi:10.1162/089976602760128018). What a predictor does not tell is taken to be what the others tell on
    average. Raises NoLabel where none of them tells or names a label.
    """

    def __init__(self, members: Sequence[PromptedPredict], prompt: Prompt) -> None:
        """`prompt` has the readout and the calibration of the whole."""
        super().__init__()
        self.members, self._prompt = list(members), prompt

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Answer one input."""
        outcomes: list[Any] = []
        for member in self.members:
            try:
                outcomes.append(member(**inputs))
            except NoLabel as problem:
                outcomes.append(problem)
        return self._joined(outcomes)

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """Answer one input, asynchronously; one call after the other, as every program's."""
        outcomes: list[Any] = []
        for member in self.members:
            try:
                outcomes.append(await member.acall(**inputs))
            except NoLabel as problem:
                outcomes.append(problem)
        return self._joined(outcomes)

    def _joined(self, outcomes: Sequence[Any]) -> dspy.Prediction:
        likely = [one for one in map(_logprobs, outcomes) if one]
        answered = [outcome for outcome in outcomes if not isinstance(outcome, NoLabel)]
        labels = labels_of(self.members[0].signature)
        if not likely or labels is None:
            if not answered:
                raise next(outcome for outcome in outcomes if isinstance(outcome, NoLabel))
            return answered[0]
        total = tuple(len(outcomes) / len(likely) * sum(of_label) for of_label in zip(*likely, strict=True))
        prediction = answered[0] if answered else dspy.Prediction()
        prediction["label_logprobs"] = total
        prediction[labels.field] = labels.value(choose(self._prompt, total))
        return prediction


def _logprobs(outcome: Any) -> tuple[float, ...]:
    """Return what a predictor told of each label; empty where it told nothing."""
    told = outcome.logprobs if isinstance(outcome, NoLabel) else outcome.get("label_logprobs")
    return told or ()
