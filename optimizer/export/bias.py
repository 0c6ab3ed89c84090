"""A readout as `logit_bias`: the one token that a model then answers with is the label that the readout chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optimizer.errors import TaskError
from optimizer.export.template import Template
from optimizer.types import Calibration

# The numbers of a text's tokens in the model that answers; None where its server does not tell them.
Tokenize = Callable[[str], Sequence[int] | None]
# The most that OpenAI's protocol adds to a logit; servers cut off what is more.
MOST = 100.0
CODE_INSTEAD = (
    "Give --to python or --to dspy, which carry what reads it. optimizer.load_prompt(best.json) reads it, too."
)


class CannotHold(TaskError):
    """The target cannot hold the prompt as it was searched; another prompt of the run it may."""


def bias_body(template: Template, body: Mapping[str, Any], tokenize: Tokenize | None) -> dict[str, Any]:
    """Return a body of OpenAI's protocol that is answered with one token, the label of a prompt's readout.

    It is asked without randomness and without log-probabilities. Raises CannotHold where biases cannot say the same:
    where nobody tells the tokens, a label has several or another's, or the offsets lie too far apart.
    """
    assert template.labels is not None  # noqa: S101 - the caller's to check, told to mypy
    prompt, words = template.prompt, template.labels.words
    tokens = _tokens(words, tokenize)
    biases = label_biases(prompt.calibration if prompt.readout == "calibrated" else None, len(words))
    asked = {key: value for key, value in body.items() if key not in {"logprobs", "top_logprobs", "stop"}}
    bias = {str(token): bias for token, bias in zip(tokens, biases, strict=True)}
    return {**asked, "max_completion_tokens": 1, "temperature": 0.0, "logit_bias": bias}


def label_biases(calibration: Calibration | None, labels: int) -> list[float]:
    """Return what is added to the logit of each label, in nats, from -MOST to MOST.

    The greatest of scale × log-probability + offset is the greatest of log-probability + offset / scale, and stays so
    if the same is added to all. That is chosen so that the label with the greatest offset has MOST: another token is
    answered only if it is e^100 times as likely as that label, further than the logits of a model lie apart. Raises
    CannotHold for a scale that turns the order round, and for offsets so far apart that a bias would be cut off.
    """
    if calibration is None:
        return [MOST] * labels
    if calibration.scale <= 0:
        raise cannot(f"its calibration has the scale {calibration.scale:.3g}, and biases can only add")
    shifts = [offset / calibration.scale for offset in calibration.offsets]
    if (apart := max(shifts) - min(shifts)) > 2 * MOST:
        raise cannot(f"its offsets lie {apart:.0f} nats apart, and biases reach from -{MOST:.0f} to {MOST:.0f}")
    return [MOST + (shift - max(shifts)) for shift in shifts]


def cannot(why: str) -> CannotHold:
    """Return the error that says why a body of OpenAI's cannot hold a readout."""
    return CannotHold(f"openai cannot hold this prompt's readout as logit_bias: {why}", CODE_INSTEAD)


def _tokens(words: Sequence[str], tokenize: Tokenize | None) -> list[int]:
    """Return the one token of each label; raises CannotHold where a label has several, or another's."""
    first: dict[int, str] = {}
    for word in words:
        tokens = None if tokenize is None else tokenize(word)
        if tokens is None:
            raise cannot("the server of its model does not tell the numbers of its tokens (POST /tokenize)")
        if len(tokens) != 1:
            raise cannot(f"the label {word!r:.60} has {len(tokens)} tokens in its model, and only the first is biased")
        if tokens[0] in first:
            raise cannot(f"the labels {first[tokens[0]]!r:.60} and {word!r:.60} have the same token in its model")
        first[tokens[0]] = word
    return list(first)
