"""Predictors that answer in a format of their own, with demos chosen for each input, and read their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from optimizer.prompt.demos import DemoPool
from optimizer.prompt.formats.plain import Unreadable
from optimizer.prompt.readout import Labels, choose, label_logprobs
from optimizer.types import Example, Prompt


class FormattedPredict(dspy.Predict):
    """A predictor with its own adapter; a subclass says in `_demos(inputs)` which demos it shows for an input."""

    _adapter: dspy.Adapter
    _demos: Callable[[Mapping[str, Any]], list[Any]]

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Answer one input."""
        with dspy.context(adapter=self._adapter):
            return super().forward(demos=self._demos(inputs), **inputs)

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """Answer one input, asynchronously."""
        with dspy.context(adapter=self._adapter):
            return await super().aforward(demos=self._demos(inputs), **inputs)


class NoLabel(AdapterParseError):
    """Neither an answer's words nor what the model told of its tokens tell a label; `logprobs` is () or None then."""

    def __init__(
        self, signature: Any, adapter_name: str, unread: Unreadable, logprobs: tuple[float, ...] | None
    ) -> None:
        super().__init__(
            adapter_name=adapter_name, signature=signature, lm_response=unread.answer, message=unread.reason
        )
        self.logprobs = logprobs


class PromptedPredict(FormattedPredict):
    """A predictor that shows the demos of a Prompt, a static set or those retrieved for the input, and has its readout.

    Its prediction has `label_logprobs` where the model told how likely each token of its answer was.
    """

    _prompt: Prompt
    _pool: DemoPool
    _labels: Labels | None = None  # where the answer is not read from its words

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Answer one input."""
        return self._read(super().forward(**self._limited(inputs)))

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """Answer one input, asynchronously."""
        return self._read(await super().aforward(**self._limited(inputs)))

    def _limited(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return inputs with the limit of the LM itself where a label would need more: whoever set it wants no more."""
        if self._labels is None:
            return inputs
        lm = self.lm or dspy.settings.lm
        own = None if lm is None else lm.kwargs.get("max_tokens")
        if own is None or own >= self._labels.most_tokens:
            return inputs
        return {**inputs, "config": {"max_tokens": own, **inputs.get("config", {})}}

    def _read(self, prediction: dspy.Prediction) -> dspy.Prediction:
        """Put the likeliest label in the place of what the answer's words say, where that is the prompt's readout.

        Raises NoLabel where neither tells a label.
        """
        if self._labels is None:
            return prediction
        if "logprobs" in prediction and (tokens := prediction["logprobs"]["content"]):
            likely = label_logprobs(tokens, self._labels.words)
            prediction["label_logprobs"] = likely
            if likely:
                prediction[self._labels.field] = self._labels.value(choose(self._prompt, likely))
        unread = prediction[self._labels.field]
        if isinstance(unread, Unreadable):
            raise NoLabel(self.signature, type(self._adapter).__name__, unread, prediction.get("label_logprobs"))
        return prediction

    def _demos(self, inputs: Mapping[str, Any]) -> list[Any]:
        inside = {name: inputs[name] for name in self.signature.input_fields if name in inputs}
        return [as_demo(example) for example in self._pool.choose(self._prompt, inside)]


def as_demo(example: Example) -> dict[str, Any]:
    """Return an example as DSPy's predictors take a demo."""
    return {**example.inputs, **example.outputs}


def add_behaviour(predictor: dspy.Predict, kind: type[FormattedPredict]) -> None:
    """Let a predictor of any class behave as `kind` besides; its class keeps its name."""
    if isinstance(predictor, kind):
        return
    own = type(predictor)
    if (kind, own) not in _COMBINED:
        _COMBINED[kind, own] = type(own.__name__, (kind, own), {"__module__": own.__module__})
    predictor.__class__ = _COMBINED[kind, own]


# One class for each pair, however often a program is copied.
_COMBINED: dict[tuple[type, type], type] = {}
