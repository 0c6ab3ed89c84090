"""Reads an answer's label from what the model says of each token, in place of the words that it wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import dspy

from optimizer.errors import TaskError
from optimizer.prompt.formats import PLAIN
from optimizer.prompt.values import read
from optimizer.types import Prompt, Readout, first_greatest

# Alternatives to each token that are asked for: the most that OpenAI gives, and whoever follows its protocol.
TOP = 20
LEAST = 1e-30  # what is taken for a probability of 0
# What may stand before a label, and does not belong to it.
_BEFORE = " \t\r\n\"'`*(["


@dataclass(frozen=True)
class Labels:
    """The only output of a predictor, whose value is one of a few: its name, and the words for each value."""

    field: str
    words: tuple[str, ...]
    annotation: Any

    @property
    def most_tokens(self) -> int:
        """How many tokens an answer has at most until its label is known: one a byte, and two before it."""
        return 2 + max(len(word.encode()) for word in self.words)

    @property
    def asked(self) -> dict[str, Any]:
        """What a request for one of them has besides its messages, as DSPy spells it."""
        return {"logprobs": True, "top_logprobs": TOP, "max_tokens": self.most_tokens}

    @property
    def values(self) -> list[Any]:
        """The value that each label stands for."""
        return [self.value(number) for number in range(len(self.words))]

    def value(self, number: int) -> Any:
        """Return the value that a label stands for, by the label's number."""
        return read(self.annotation, self.words[number])

    def number(self, value: Any) -> int | None:
        """Return the number of the label that stands for a value; None where there is none."""
        return next((number for number in range(len(self.words)) if self.value(number) == value), None)


def labels_of(signature: type[dspy.Signature]) -> Labels | None:
    """Return the labels that a predictor answers with; None where it has several outputs, or other ones."""
    if len(signature.output_fields) != 1:
        return None
    ((name, field),) = signature.output_fields.items()
    if get_origin(field.annotation) is Literal and all(isinstance(one, str) for one in get_args(field.annotation)):
        return Labels(name, get_args(field.annotation), field.annotation)
    return Labels(name, ("yes", "no"), bool) if field.annotation is bool else None


def readout_in(format_name: str, readout: Readout) -> Readout:
    """Return the readout that a prompt has in a format: its words are read where the answer begins with a marker."""
    return readout if format_name in PLAIN else "generate"


def choose(prompt: Prompt, logprobs: Sequence[float]) -> int:
    """Return the number of the label that a prompt's answer stands for."""
    fitted = prompt.calibration if prompt.readout == "calibrated" else None
    return first_greatest(logprobs) if fitted is None else fitted.best(logprobs)


def read_labels(signature: type[dspy.Signature], prompt: Prompt) -> Labels | None:
    """Return the labels that a prompt's readout chooses from; None where the words of the answer are read.

    Raises TaskError where the predictor has none, or others than the prompt's calibration.
    """
    if prompt.readout == "generate":
        return None
    labels, remedy = labels_of(signature), "Set its readout to generate."
    if labels is None or prompt.format not in PLAIN:
        what = f"a prompt in the format {prompt.format} for {', '.join(signature.output_fields)}"
        raise TaskError(f"{what} cannot have the readout {prompt.readout}: one label must begin its answer", remedy)
    if prompt.calibration is not None and prompt.calibration.labels != labels.words:
        seen, wanted = ", ".join(prompt.calibration.labels), ", ".join(labels.words)
        raise TaskError(f"a prompt is calibrated for the labels {seen:.160}, and the task has {wanted:.160}", remedy)
    return labels


def label_logprobs(content: Sequence[Mapping[str, Any]], words: Sequence[str]) -> tuple[float, ...]:
    """Return the log-probability of each label, given the tokens of an answer as OpenAI's protocol tells them.

    The labels are a tree of tokens, of which one answer shows one path: at each token that was made the alternatives
    tell how likely the labels are that part from the path there. Those that part from it together share what is known
    of them. What no alternative tells is taken to be as likely as the least likely one that was told: more it cannot
    be. Empty where no label is among what is told.
    """
    tree = _Tree([word.lstrip(_BEFORE) or word for word in words])
    for token in content:
        if not (likely := _alternatives(token)):
            tree.stop()
            break
        if not tree.descend(str(token["token"]), likely):
            break
    else:
        tree.stop()
    return tree.logprobs()


class _Tree:
    """How likely each label is, as far as one path of tokens has shown."""

    def __init__(self, words: Sequence[str]) -> None:
        joined = [_joined(word) for word in words]
        # Two labels may differ in nothing else than what joins their words, and one may end with it.
        within = all(one == one.strip() for one in joined)
        self._fold = _joined if within and len(set(joined)) == len(words) else str.casefold
        self._folded = [self._fold(word) for word in words]
        self._chances, self._bounds = [0.0] * len(words), [1.0] * len(words)
        self._alive, self._path, self._before = set(range(len(words))), "", 1.0

    def descend(self, made: str, likely: Mapping[str, float]) -> bool:
        """Take one token into account, and what might have stood in its place; False where one label is left."""
        going_on: set[int] = set()
        for text, logprob in likely.items():
            reached = self._reached(text)
            if text == made and text and len(reached) > 1:
                going_on = reached
            elif (self._path + text).strip(_BEFORE):
                self._share(reached, self._before * math.exp(logprob))
        least = self._before * math.exp(min(likely.values(), default=0.0))
        for number in self._alive - going_on:
            self._bounds[number] = least
        if going_on:
            self._alive, self._path, self._before = going_on, self._path + made, self._before * math.exp(likely[made])
        return bool(going_on)

    def stop(self) -> None:
        """Let the answer be over, or cut off, before one label was left: those that are share what led there.

        Where one of them is the whole answer, it has all of that. The others are half as likely at most, as the answer
        would not have ended else.
        """
        whole = self._fold(self._path.strip(_BEFORE))
        if whole:
            ended = {number for number in self._alive if self._folded[number] == whole}
            self._share(ended or self._alive, self._before)
            for number in self._alive - ended:
                self._bounds[number] = self._before / 2

    def logprobs(self) -> tuple[float, ...]:
        """Return the logarithm of what is known of each label; empty where nothing is."""
        if not any(self._chances):
            return ()
        known = zip(self._chances, self._bounds, strict=True)
        return tuple(math.log(max(chance or bound, LEAST)) for chance, bound in known)

    def _reached(self, text: str) -> set[int]:
        """Return which labels an answer that goes on with a text may be; where it is over, the one that it was."""
        whole = self._fold((self._path + text).lstrip(_BEFORE))
        begun = {number for number in self._alive if self._folded[number].startswith(whole)} if text else set()
        if begun:
            return begun
        folded = self._folded
        ended = [one for one in self._alive if whole.startswith(folded[one]) and _ends(whole, folded[one])]
        return {max(ended, key=lambda number: len(folded[number]))} if ended else set()

    def _share(self, labels: set[int], chance: float) -> None:
        for number in labels:
            self._chances[number] += chance / len(labels)


def _alternatives(token: Mapping[str, Any]) -> dict[str, float]:
    """Return the log-probabilities of the texts that might stand in a token's place, its own among them.

    Empty where they are not told, or are no log-probabilities: a server may say anything.
    """
    try:
        told = {str(one["token"]): float(one["logprob"]) for one in token["top_logprobs"] or ()}
        made = {str(token["token"]): float(token["logprob"])}
    except (KeyError, TypeError, ValueError, OverflowError):
        return {}
    if not told or any(math.isnan(one) for one in (*told.values(), *made.values())):
        return {}
    return {text: min(0.0, one) for text, one in {**told, **made}.items()}


def _joined(text: str) -> str:
    """Return a text without what does not matter: case, and whether a line, a hyphen or a space joins its words."""
    return text.casefold().replace("_", " ").replace("-", " ")


def _ends(text: str, label: str) -> bool:
    """Tell if a label that a text begins with is a word of its own there."""
    return not (text[len(label) : len(label) + 1].isalnum() and label[-1].isalnum())
