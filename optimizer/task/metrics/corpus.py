"""Corpus BLEU and chrF: n-grams are counted over all answers, and one score is computed of the sums.

Each is a function of sums over the answers, so its derivative by each answer's weight is known.
"""

from __future__ import annotations

import json
import math
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from optimizer.task.metrics.population import Cell, Pair

CorpusKind = Literal["corpus_bleu", "corpus_chrf"]
# What an added answer weighs at most: texts are seldom all right or all wrong, so that a whole one would say too much.
WEIGHT_ADDED = 0.25
CORPORA: tuple[CorpusKind, ...] = get_args(CorpusKind)


@dataclass(frozen=True)
class Corpus:
    """A statistic of counts, which are the second text of each pair, as JSON; `beta` is chrF's weight of recall.

    corpus_bleu: exp(min(0, 1 − r/c) + mean over the orders of log(shared n-grams / n-grams)), with the sums of both
    lengths c and r; an order without a shared one counts half a one, a quarter the next (Papineni et al. 2002; Post
    2018, https://aclanthology.org/W18-6319). Counts: [c, r, shared of each order …, n-grams of each order …].
    corpus_chrf: (1 + β²)·P·R / (β²·P + R), with the means over the orders of precision P and recall R (Popovic 2015,
    https://aclanthology.org/W15-3049). Counts: [n-grams of the answer, of the reference, shared] for each order.
    """

    kind: CorpusKind
    beta: float = 1.0
    labels: tuple[str, ...] = ()
    label: str | None = None
    least: float = 0.0
    weight_added: float = WEIGHT_ADDED

    def of(self, pairs: Sequence[Pair | Cell], weights: np.ndarray | None = None) -> float:
        """Return the statistic of some answers, each as many times as its weight says; 0.0 of none."""
        return self._value_and_influences(pairs, weights)[0]

    def influences(self, pairs: Sequence[Pair | Cell], weights: np.ndarray | None = None) -> np.ndarray:
        """Return what each answer says of it: their mean is the statistic itself (see `Statistic.influences`)."""
        return self._value_and_influences(pairs, weights)[1]

    def added(self, pairs: Sequence[Cell]) -> tuple[list[Cell], list[Cell]]:
        """Return an answer that is a reference of mean length, and one as long that shares nothing with it."""
        if not pairs:
            return [], []
        mean = ("", json.dumps(_counts(pairs).mean(axis=0).tolist()), 0.0)
        return [(*self.as_if(mean, True), 1.0)], [(*self.as_if(mean, False), 0.0)]

    def as_if(self, cell: Cell, right: bool) -> Pair:
        """Return the answer to the same example that is its reference, or as long and shares nothing with it."""
        counts = json.loads(cell[1])
        if self.kind == "corpus_chrf":
            return cell[0], json.dumps([one for n in counts[1::3] for one in (n, n, n if right else 0)])
        length, orders = counts[1], len(counts) // 2 - 1
        grams = [max(0, length - order) for order in range(orders)]
        return cell[0], json.dumps([length, length, *(grams if right else [0] * orders), *grams])

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"kind": self.kind, "labels": list(self.labels), "label": self.label, "beta": self.beta}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Corpus:
        """Rebuild it from `to_json`'s data."""
        return cls(data["kind"], data["beta"])

    def _value_and_influences(
        self, pairs: Sequence[Pair | Cell], weights: np.ndarray | None
    ) -> tuple[float, np.ndarray]:
        if not pairs:
            return 0.0, np.zeros(0)
        weights, counts = np.ones(len(pairs)) if weights is None else weights, _counts(pairs)
        sums = weights @ counts
        value, slope = _bleu(sums) if self.kind == "corpus_bleu" else _chrf(sums, self.beta**2)
        each = weights.sum() * (counts @ slope)
        # A count that stands for none shared is no sum, so that the mean may lie beside 0.
        return value, value + each - weights @ each / weights.sum()


def bleu_counts(scored: Any) -> list[int]:
    """Return an answer's counts from sacrebleu's score of it."""
    return [scored.sys_len, scored.ref_len, *scored.counts, *scored.totals]


def chrf_counts(
    answer: str, references: Sequence[str], orders: tuple[int, int], beta: int, lowercase: bool, whitespace: bool
) -> list[int]:
    """Return an answer's counts beside the reference that it is nearest to; `orders` are those of letters and words."""
    answered = _grams(answer, orders, lowercase, whitespace)
    every = []
    for text in references:
        wanted = _grams(text, orders, lowercase, whitespace)
        pairs = zip(answered, wanted, strict=True)
        # As sacrebleu has it: n-grams of an answer count only if the reference has any so long.
        every.append([n for a, b in pairs for n in (a.total() if b else 0, b.total(), (a & b).total())])
    return max(every, key=lambda counts: _chrf(np.array(counts, dtype=float), float(beta**2))[0])


def _grams(text: str, orders: tuple[int, int], lowercase: bool, whitespace: bool) -> list[Counter[Any]]:
    text = text.lower() if lowercase else text
    letters = text if whitespace else "".join(text.split())
    words = _words(text) if orders[1] else []
    made: list[Counter[Any]] = [
        Counter(letters[at : at + order] for at in range(len(letters) - order + 1)) for order in range(1, orders[0] + 1)
    ]
    for order in range(1, orders[1] + 1):
        made.append(Counter(tuple(words[at : at + order]) for at in range(len(words) - order + 1)))
    return made


def _words(text: str) -> list[str]:
    """Return the words of a text, a punctuation mark at one end of a word as a word of its own, as chrF++ counts it."""
    words: list[str] = []
    for word in text.split():
        if len(word) > 1 and word[-1] in string.punctuation:
            words += [word[:-1], word[-1]]
        elif len(word) > 1 and word[0] in string.punctuation:
            words += [word[0], word[1:]]
        else:
            words.append(word)
    return words


def _counts(pairs: Sequence[Pair | Cell]) -> np.ndarray:
    return np.array([json.loads(pair[1]) for pair in pairs], dtype=float)


def _bleu(sums: np.ndarray) -> tuple[float, np.ndarray]:
    """Return BLEU in [0, 1] and its derivatives by the sums."""
    slope, orders = np.zeros(len(sums)), len(sums) // 2 - 1
    length, reference, shared, grams = sums[0], sums[1], sums[2 : 2 + orders], sums[2 + orders :]
    if not shared.any() or not grams.all():
        return 0.0, slope
    none, log = 1.0, 0.0
    for order in range(orders):
        if shared[order] > 0:
            log += math.log(shared[order] / grams[order]) / orders
            slope[2 + order] = 1 / shared[order] / orders
        else:
            none *= 2
            log -= math.log(none * grams[order]) / orders
        slope[2 + orders + order] = -1 / grams[order] / orders
    if length < reference:
        log += 1 - reference / length
        slope[0], slope[1] = reference / length**2, -1 / length
    value = math.exp(log)
    return value, value * slope


def _chrf(sums: np.ndarray, beta2: float) -> tuple[float, np.ndarray]:
    """Return chrF in [0, 1] and its derivatives by the sums."""
    slope, (answered, wanted, shared) = np.zeros(len(sums)), sums.reshape(-1, 3).T
    there = (answered > 0) & (wanted > 0)
    number = int(there.sum())
    if not number or not shared[there].any():
        return 0.0, slope
    precision, recall = (float((shared[there] / side[there]).mean()) for side in (answered, wanted))
    under = beta2 * precision + recall
    by_precision, by_recall = ((1 + beta2) * one / under**2 / number for one in (recall**2, beta2 * precision**2))
    at = 3 * np.flatnonzero(there)
    slope[at] = -by_precision * shared[there] / answered[there] ** 2
    slope[at + 1] = -by_recall * shared[there] / wanted[there] ** 2
    slope[at + 2] = by_precision / answered[there] + by_recall / wanted[there]
    return (1 + beta2) * precision * recall / under, slope
