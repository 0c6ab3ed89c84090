from __future__ import annotations

import collections
import random
import re
import string
from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import sentence_bleu, sentence_chrf
from sacrebleu.metrics import BLEU, CHRF

from optimizer.task.metrics.base import Options
from optimizer.task.metrics.overlap import (
    BleuOptions,
    ChrfOptions,
    RougeOptions,
    TokenF1Options,
    bleu,
    chrf,
    references,
    rouge,
    squad_words,
    token_f1,
    words_f1,
)
from optimizer.task.schema import FieldSpec

TEXT = FieldSpec()
WORDS = ("the", "cat", "sat", "on", "a", "mat", "Running", "runs", "dog", "5", "état", "they're", "mat.", "mat,", "-")
SENTENCES = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
SETTINGS: list[tuple[Callable[..., tuple[float, str]], Options]] = [
    (token_f1, TokenF1Options()),
    (token_f1, TokenF1Options(ignore=())),
    (rouge, RougeOptions(kind="rouge1")),
    (rouge, RougeOptions(kind="rouge2", which="recall")),
    (rouge, RougeOptions(kind="rougeLsum", which="precision", stemmer=True, unicode=True)),
    (bleu, BleuOptions()),
    (bleu, BleuOptions(lowercase=True, tokenize="char", smooth="floor", order=2)),
    (chrf, ChrfOptions()),
    (chrf, ChrfOptions(word_order=2, beta=1, lowercase=True, whitespace=True)),
]


def texts(chance: random.Random) -> str:
    parts = chance.choices(WORDS, k=chance.randint(1, 12))
    return "".join(word + chance.choice([" ", " ", " ", "\n"]) for word in parts).strip()


@settings(max_examples=40)
@given(SENTENCES, st.one_of(SENTENCES, st.text(max_size=20)), st.data())
def test_scores_are_bounded_and_a_text_of_words_is_like_itself(one: str, two: str, data: st.DataObject) -> None:
    metric, options = data.draw(st.sampled_from(SETTINGS))
    score, remark = metric(options, TEXT, one, two)
    assert 0 <= score <= 1
    assert (score == 1) <= (remark == "")
    if "cat sat" in one:
        assert metric(options, TEXT, one, one) == (1, "")
        assert metric(options, TEXT, [two, one], one) == (1, "")
        assert metric(options, TEXT, [two, one], [two, one]) == (1, "")


@given(SENTENCES, SENTENCES)
def test_f1_is_symmetric_and_case_does_not_count(one: str, two: str) -> None:
    for metric, options in (
        (token_f1, TokenF1Options()),
        (rouge, RougeOptions()),
        (rouge, RougeOptions(kind="rouge2")),
    ):
        score = metric(options, TEXT, one, two)[0]
        assert score == pytest.approx(metric(options, TEXT, two, one)[0])
        assert score == metric(options, TEXT, one.upper(), two)[0]
    precision, recall = (RougeOptions(which=which) for which in ("precision", "recall"))
    assert rouge(precision, TEXT, one, two)[0] == pytest.approx(rouge(recall, TEXT, two, one)[0])
    even = ChrfOptions(beta=1)
    assert chrf(even, TEXT, one, two)[0] == pytest.approx(chrf(even, TEXT, two, one)[0])
    lowered = BleuOptions(lowercase=True)
    assert bleu(lowered, TEXT, one.upper(), two)[0] == pytest.approx(bleu(lowered, TEXT, one, two)[0])


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), st.randoms())
def test_the_order_of_words_does_not_count_for_token_f1_and_rouge1(words: list[str], chance: random.Random) -> None:
    turned = chance.sample(words, len(words))
    assert token_f1(TokenF1Options(), TEXT, " ".join(words), " ".join(turned))[0] == 1
    if any(re.search("[a-z0-9]", word.lower()) for word in words):
        assert rouge(RougeOptions(kind="rouge1"), TEXT, " ".join(words), " ".join(turned))[0] == 1


def squad(prediction: str, truth: str) -> float:
    """Return F1 as SQuAD's evaluation script computes it, written down from its paper."""

    def words(text: str) -> list[str]:
        kept = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", kept).split()

    one, two = words(prediction), words(truth)
    same = sum((collections.Counter(one) & collections.Counter(two)).values())
    if not one or not two:
        return float(one == two)
    if same == 0:
        return 0.0
    precision, recall = same / len(one), same / len(two)
    return 2 * precision * recall / (precision + recall)


def test_token_f1_is_squads() -> None:
    chance = random.Random(0)
    for _ in range(1000):
        one, two = texts(chance), texts(chance)
        assert token_f1(TokenF1Options(), TEXT, one, two)[0] == pytest.approx(squad(two, one), abs=1e-9)
        assert token_f1(TokenF1Options(), TEXT, [one, two[::-1]], two)[0] >= squad(two, one) - 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("stemmer", [False, True])
def test_rouge_is_rouge_scores(stemmer: bool) -> None:
    chance = random.Random(0)
    kinds: tuple[Literal["rouge1", "rouge2", "rougeL", "rougeLsum"], ...] = ("rouge1", "rouge2", "rougeL", "rougeLsum")
    scorer = RougeScorer(list(kinds), use_stemmer=stemmer)
    for _ in range(1000):
        one, two = texts(chance), texts(chance)
        theirs = scorer.score(one, two)
        for kind in kinds:
            for which in ("f1", "precision", "recall"):
                options = RougeOptions(kind=kind, which=which, stemmer=stemmer)
                score = getattr(theirs[kind], "fmeasure" if which == "f1" else which)
                assert rouge(options, TEXT, one, two)[0] == pytest.approx(score, abs=1e-9)


@pytest.mark.slow
def test_bleu_and_chrf_are_sacrebleus() -> None:
    chance = random.Random(0)
    for _ in range(1000):
        one, two, three = texts(chance), texts(chance), texts(chance)
        assert bleu(BleuOptions(), TEXT, one, two)[0] == pytest.approx(sentence_bleu(two, [one]).score / 100, abs=1e-9)
        assert chrf(ChrfOptions(), TEXT, one, two)[0] == pytest.approx(sentence_chrf(two, [one]).score / 100, abs=1e-9)
        several = max(sentence_bleu(two, some).score for some in ([one, three], [f"{one}, {three}"]))
        assert bleu(BleuOptions(), TEXT, [one, three], two)[0] == pytest.approx(several / 100, abs=1e-9)
        several = sentence_chrf(two, [one, three, f"{one}, {three}"]).score
        assert chrf(ChrfOptions(), TEXT, [one, three], two)[0] == pytest.approx(several / 100, abs=1e-9)


def test_the_options_of_bleu_and_chrf_are_sacrebleus() -> None:
    chance = random.Random(1)
    theirs = BLEU(lowercase=True, tokenize="intl", smooth_method="add-k", max_ngram_order=3, effective_order=True)
    options = BleuOptions(lowercase=True, tokenize="intl", smooth="add-k", order=3)
    plus = CHRF(char_order=4, word_order=2, beta=3, lowercase=True, whitespace=True)
    like = ChrfOptions(char_order=4, word_order=2, beta=3, lowercase=True, whitespace=True)
    for _ in range(100):
        one, two = texts(chance), texts(chance)
        score = theirs.sentence_score(two, [one]).score
        assert bleu(options, TEXT, one, two)[0] == pytest.approx(score / 100, abs=1e-9)
        score = plus.sentence_score(two, [one]).score
        assert chrf(like, TEXT, one, two)[0] == pytest.approx(score / 100, abs=1e-9)


CAT = "The cat sat on the mat"


@pytest.mark.parametrize(
    ("metric", "options", "expected", "seen", "score", "remark"),
    [
        (token_f1, TokenF1Options(), CAT, "cat on my mat", 0.75, "missing: sat; too many: my"),
        (token_f1, TokenF1Options(ignore=("le", "la")), "Le chat", "la chat", 1, ""),
        (token_f1, TokenF1Options(), "the", "a", 1, ""),
        (token_f1, TokenF1Options(), "cat", "", 0, "missing: cat; its words are 0, those expected 1"),
        (
            rouge,
            RougeOptions(),
            CAT,
            "on the mat the cat sat",
            0.5,
            "rougeL: precision 0.50, recall 0.50; the same words",
        ),
        (rouge, RougeOptions(stemmer=True), "running cat", "runs dog", 0.5, "too many: dog"),
        (rouge, RougeOptions(kind="rouge2"), "cat", "cat", 0, "one word, and rouge2 counts pairs"),
        (rouge, RougeOptions(), "東京", "東京", 0, "no word that is counted"),
        (rouge, RougeOptions(unicode=True), "東京 です", "東京", 2 / 3, "missing: です"),
        (rouge, RougeOptions(unicode=True), "हिन्दी है", "हिन्दी", 2 / 3, "missing: है"),
        (bleu, BleuOptions(), CAT, "The cat sat on a mat", 0.5373, "words 83 / 60 / 50 / 33 % are in it; missing: the"),
        (bleu, BleuOptions(order=1), CAT, "a cat sat on the mat", 0.8333, "of its single words 83 % are in it"),
        (bleu, BleuOptions(), "Cat", "cat", 0, "the same words, but otherwise written"),
        (chrf, ChrfOptions(), CAT, "The cat sat on a mat", 0.6598, "missing: the; too many: a"),
        (chrf, ChrfOptions(), "", " ", 1, ""),
    ],
)
def test_scores_and_remarks(metric: Any, options: Options, expected: str, seen: str, score: float, remark: str) -> None:
    found, said = metric(options, TEXT, expected, seen)
    assert found == pytest.approx(score, abs=1e-3)
    assert remark in said
    assert (said == "") == (found == 1)


def test_a_remark_names_a_few_words() -> None:
    _, remark = token_f1(TokenF1Options(), TEXT, " ".join("bcdefghijklm"), "z")
    assert remark.startswith("missing: b, c, d, e, f, g, h, i and 4 more; too many: z")


def test_references_are_a_lists_items_and_all_of_them_as_one() -> None:
    assert references("a") == ["a"]
    assert references(["a"]) == ["a"]
    assert references(["a", "b"]) == ["a", "b", "a, b"]
    assert references([]) == [""]


def test_words_are_counted_as_often_as_they_are_there() -> None:
    assert squad_words("The cat's  mat, THE mat!", ("the",)) == ["cats", "mat", "mat"]
    assert words_f1(["a", "a"], ["a"]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (TokenF1Options, {"ignore": "the"}),
        (RougeOptions, {"kind": "rouge3"}),
        (RougeOptions, {"which": "f"}),
        (RougeOptions, {"stemmer": 1}),
        (BleuOptions, {"tokenize": "flores200"}),
        (BleuOptions, {"order": "4"}),
        (ChrfOptions, {"beta": 0}),
        (ChrfOptions, {"char_order": 2.5}),
    ],
)
def test_options_are_checked(model: type[Options], options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model(**options)
