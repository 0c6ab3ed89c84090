"""auc, pearson, spearman, corpus_bleu and corpus_chrf: the score is one of all answers, as numbers or as texts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StrictBool

from optimizer.errors import did_you_mean
from optimizer.system.limits import shorten
from optimizer.task.metrics.amount import last_number
from optimizer.task.metrics.base import FieldMetric
from optimizer.task.metrics.labels import (
    YES,
    StatisticMetric,
    StatisticOptions,
    label_in,
    labels_of_output,
    path_of,
)
from optimizer.task.metrics.overlap import bleu_scorer, references, whole
from optimizer.task.schema import FieldSpec
from optimizer.types import Example

if TYPE_CHECKING:
    from optimizer.task.metrics.population import Whole

# The log-odds of an answer that names a label, where the model tells no probabilities.
CERTAIN = 30.0
DIGITS = 9


class AucOptions(StatisticOptions):
    """The label whose examples should have the greater numbers; of numbers, above what an expected one counts so."""

    label: str | None = None
    threshold: Annotated[float, Field(strict=True, allow_inf_nan=False)] = 0.5


class CorpusBleuOptions(StatisticOptions):
    """sacrebleu's options of corpus BLEU; `order` is the length of the longest n-grams."""

    lowercase: StrictBool = False
    tokenize: Literal["13a", "intl", "zh", "char", "none"] = "13a"
    order: Annotated[int, Field(strict=True, ge=1, le=9)] = 4


class CorpusChrfOptions(StatisticOptions):
    """sacrebleu's options of corpus chrF; a `word_order` of 2 makes it chrF++, `beta` weighs recall."""

    char_order: Annotated[int, Field(strict=True, ge=1, le=12)] = 6
    word_order: Annotated[int, Field(strict=True, ge=0, le=9)] = 0
    beta: Annotated[int, Field(strict=True, ge=1, le=9)] = 2
    lowercase: StrictBool = False
    whitespace: StrictBool = False


@dataclass(frozen=True)
class WholeMetric(StatisticMetric):
    """A statistic of one output; `read` makes the pair of texts that it is computed of, from (expected, answered).

    The answered value is None where there is none.
    """

    read: Callable[[Any, Any], tuple[str, str]] = lambda expected, seen: ("", "")

    def pair(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[str, str]:
        """Return what the statistic is made of."""
        return self.read(*self.looked_at(example, answer))


@dataclass(frozen=True)
class AucMetric(WholeMetric):
    """AUC of a label's log-odds, where a model tells log-probabilities; `at` is the label's number among them."""

    at: int = 0

    def likely_pair(
        self, example: Example, answer: Mapping[str, Any] | None, logprobs: Sequence[float]
    ) -> tuple[str, str]:
        """Return the pair with the log-odds of the label, by the log-probabilities of all labels."""
        kind, named = self.pair(example, answer)
        return kind, repr(round(log_odds(logprobs, self.at), DIGITS)) if self.at < len(logprobs) else named


def make_whole(
    name: str,
    version: str,
    options: StatisticOptions,
    spec: FieldSpec,
    single: Callable[[str, Mapping[str, Any]], FieldMetric],
) -> WholeMetric:
    """Return the metric of a name; `single` makes the one that scores each answer by itself, given name and options.

    Raises ValueError with what is wrong and, after "; ", what to do.
    """
    from optimizer.task.metrics.corpus import Corpus  # numpy, which no other task needs
    from optimizer.task.metrics.ranking import Ranking

    path = path_of(options)

    def made(each: FieldMetric, statistic: Whole, read: Callable[[Any, Any], tuple[str, str]]) -> WholeMetric:
        return WholeMetric(name, version, options, each, statistic, path, read)

    own = options.model_dump(exclude=set(StatisticOptions.model_fields))
    if isinstance(options, CorpusBleuOptions):
        return made(single("bleu", own), Corpus("corpus_bleu"), bleu_reader(options))
    if isinstance(options, CorpusChrfOptions):
        return made(single("chrf", own), Corpus("corpus_chrf", float(options.beta)), chrf_reader(options))
    if isinstance(options, AucOptions) and labels_of_output(spec):
        label = label_of_auc(spec, options.label)
        each = single("choice" if spec.choices else "exact_match", {})
        read, at = label_reader(spec, label), auc_number(spec, label)
        return AucMetric(name, version, options, each, Ranking("auc", label), path, read, at)
    if spec.type not in ("int", "float"):
        kind = f"{spec.type}, and has no choices" if name == "auc" else spec.type
        raise ValueError(f"the output is {kind}; Give it type: float, or use another metric.")
    if name == "pearson":
        return made(single("numeric", {}), Ranking("pearson"), number_reader())
    if name == "spearman":
        return made(single("numeric", {}), Ranking("spearman"), number_reader())
    threshold = options.threshold if isinstance(options, AucOptions) else None
    return made(single("numeric", {}), Ranking("auc"), number_reader(threshold))


def log_odds(logprobs: Sequence[float], at: int) -> float:
    """Return by how much a label is likelier than all others together, in nats, from −`CERTAIN` to `CERTAIN`."""
    others = [one for number, one in enumerate(logprobs) if number != at]
    most = max(others)
    if not others or most == -math.inf:
        return CERTAIN if logprobs[at] > -math.inf else 0.0
    together = most + math.log(math.fsum(math.exp(one - most) for one in others))
    return max(-CERTAIN, min(CERTAIN, logprobs[at] - together))


def label_reader(spec: FieldSpec, label: str) -> Callable[[Any, Any], tuple[str, str]]:
    """Return what reads whether an example is of a label, and how surely an answer says so, by its words alone."""

    def read(expected: Any, seen: Any) -> tuple[str, str]:
        named = "" if seen is None else label_in(spec, seen)
        certain = CERTAIN if named == label else -CERTAIN
        return str(int(label_in(spec, expected) == label)), repr(certain) if named else ""

    return read


def number_reader(threshold: float | None = None) -> Callable[[Any, Any], tuple[str, str]]:
    """Return what reads two numbers; with a threshold it is whether the expected one lies above it."""

    def read(expected: Any, seen: Any) -> tuple[str, str]:
        right, said = last_number(expected) or 0.0, last_number(seen)
        return repr(right) if threshold is None else str(int(right > threshold)), "" if said is None else repr(said)

    return read


def bleu_reader(options: CorpusBleuOptions) -> Callable[[Any, Any], tuple[str, str]]:
    """Return what counts an answer's n-grams for corpus BLEU."""

    def read(expected: Any, seen: Any) -> tuple[str, str]:
        from optimizer.task.metrics.corpus import bleu_counts

        scorer = bleu_scorer(options.lowercase, options.tokenize, "none", options.order)
        return "", json.dumps(bleu_counts(scorer.sentence_score(_text(seen), _references(expected))))

    return read


def chrf_reader(options: CorpusChrfOptions) -> Callable[[Any, Any], tuple[str, str]]:
    """Return what counts an answer's n-grams for corpus chrF."""

    def read(expected: Any, seen: Any) -> tuple[str, str]:
        from optimizer.task.metrics.corpus import chrf_counts

        orders = (options.char_order, options.word_order)
        how = (orders, options.beta, options.lowercase, options.whitespace)
        return "", json.dumps(chrf_counts(_text(seen), _references(expected), *how))

    return read


def label_of_auc(spec: FieldSpec, label: str | None) -> str:
    """Return the label that AUC is of; raises ValueError where it must be named, or is none."""
    labels = labels_of_output(spec)
    if label is None and spec.choices is None:
        return YES
    if label is None:
        raise ValueError(f"there are several labels, and none is named; Name it: {{name: auc, label: {labels[-1]}}}.")
    if label not in labels:
        raise ValueError(f"no label {shorten(label)}; For 'label', {did_you_mean(label, labels)}")
    return label


def auc_number(spec: FieldSpec, label: str) -> int:
    """Return the number of a label among those whose log-probabilities a readout tells: yes comes before no."""
    return labels_of_output(spec).index(label) if spec.choices else int(label != YES)


def _references(expected: Any) -> list[str]:
    every = references(expected)
    return every[:-1] or every  # the list as one text is no reference of a corpus


def _text(seen: Any) -> str:
    return "" if seen is None else whole(seen)
