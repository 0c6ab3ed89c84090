from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from optimizer.task.metrics.corpus import CORPORA, Corpus
from optimizer.task.metrics.population import Pair
from optimizer.task.metrics.whole import CorpusBleuOptions, CorpusChrfOptions, bleu_reader, chrf_reader

WORDS = ["the", "a", "cat", "dog", "sat", "on", "mat,", "house", ".", "red!", "(blue)", "Ran", "far", "été"]
TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)


def pairs_of(kind: str, answers: list[str], references: list[Any], **options: Any) -> list[Pair]:
    bleu = kind == "corpus_bleu"
    read = bleu_reader(CorpusBleuOptions(**options)) if bleu else chrf_reader(CorpusChrfOptions(**options))
    return [read(reference, answer) for answer, reference in zip(answers, references, strict=True)]


def drawn(rng: np.random.Generator) -> tuple[list[str], list[str]]:
    references = [" ".join(rng.choice(WORDS, rng.integers(1, 14))) for _ in range(rng.integers(1, 12))]
    answers = []
    for text in references:
        words = [word if rng.random() < 0.7 else str(rng.choice(WORDS)) for word in text.split()]
        answers.append(" ".join(words[: rng.integers(1, 15)]))
    return answers, references


@pytest.mark.slow
def test_both_are_what_sacrebleu_says() -> None:
    rng = np.random.default_rng(0)
    for at in range(1000):
        answers, references = drawn(rng)
        lower, order = bool(at % 2), 1 + at % 4
        expected = BLEU(lowercase=lower, max_ngram_order=order).corpus_score(answers, [references]).score / 100
        pairs = pairs_of("corpus_bleu", answers, references, lowercase=lower, order=order)
        assert Corpus("corpus_bleu").of(pairs) == pytest.approx(expected, abs=1e-9)
        if at % 4 == 0:
            words, beta = at % 3, 1 + at % 5
            chrf = CHRF(word_order=words, beta=beta, lowercase=lower, whitespace=not lower)
            options = {"word_order": words, "beta": beta, "lowercase": lower, "whitespace": not lower}
            value = Corpus("corpus_chrf", beta).of(pairs_of("corpus_chrf", answers, references, **options))
            assert value == pytest.approx(chrf.corpus_score(answers, [references]).score / 100, abs=1e-9)


def test_the_nearest_of_several_references_counts() -> None:
    answers, references = ["the cat sat on the mat", "a dog"], [["the cat", "the cat sat on a mat"], ["a dog", "dogs"]]
    each = [list(side) for side in zip(*references, strict=True)]
    bleu = BLEU(max_ngram_order=2).corpus_score(answers, each).score / 100
    assert Corpus("corpus_bleu").of(pairs_of("corpus_bleu", answers, references, order=2)) == pytest.approx(bleu)
    chrf = CHRF().corpus_score(answers, each).score / 100
    assert Corpus("corpus_chrf", 2.0).of(pairs_of("corpus_chrf", answers, references)) == pytest.approx(chrf)


@pytest.mark.parametrize("kind", CORPORA)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=12))
def test_influences_are_the_statistic_on_average_and_its_derivatives(kind: str, texts: list[tuple[str, str]]) -> None:
    statistic = Corpus(kind, 2.0)  # type: ignore[arg-type]
    pairs = pairs_of(kind, [answer for answer, _ in texts], [reference for _, reference in texts])
    influences, value, ones = statistic.influences(pairs), statistic.of(pairs), np.ones(len(pairs))
    assert 0 <= value <= 1 + 1e-9
    assert influences.mean() == pytest.approx(value, abs=1e-9)
    sums = np.sum([json.loads(counts) for _, counts in pairs], axis=0)
    if kind == "corpus_bleu" and not sums[2:6].all():
        return  # where no n-gram is shared something stands for it, which is no function of the weights
    step = np.zeros(len(pairs))
    step[0] = 1e-5
    nearby = [statistic.of(pairs, ones + way * step) for way in (1, -1)]
    if sums[0] != sums[1]:  # the penalty of short answers begins there
        assert influences[0] - value == pytest.approx(len(pairs) * (nearby[0] - nearby[1]) / 2e-5, abs=1e-3)


@pytest.mark.parametrize("kind", CORPORA)
def test_right_is_the_reference_and_wrong_shares_nothing(kind: str) -> None:
    statistic = Corpus(kind, 2.0)  # type: ignore[arg-type]
    texts = ["the cat sat on the mat", "a red house far from home"]
    cells = [(*pair, 0.0) for pair in pairs_of(kind, ["the dog sat there", "a house"], texts)]
    right, wrong = statistic.added(cells)
    assert (len(right), len(wrong)) == (1, 1)
    assert statistic.of(right) == pytest.approx(1.0)
    assert statistic.of(wrong) == 0.0
    perfect = [(*statistic.as_if(cell, True), 1.0) for cell in cells]
    assert statistic.of(perfect) == pytest.approx(1.0)
    assert perfect == [(*pair, 1.0) for pair in pairs_of(kind, texts, texts)]
    assert statistic.of([(*statistic.as_if(cell, False), 0.0) for cell in cells]) == 0.0
    assert statistic.of(pairs_of(kind, ["", ""], texts)) == 0.0
    assert statistic.of([]) == 0.0
    assert Corpus.from_json(statistic.to_json()) == statistic
