from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import TaskError
from optimizer.task.metrics.base import Grade, graded
from optimizer.task.metrics.build import build_metric, builtin_of
from optimizer.task.metrics.similarity import SimilarityMetric
from optimizer.task.schema import FieldSpec
from optimizer.types import Example

TEXT = {"reply": FieldSpec()}
WORDS = ("open", "closed", "today", "never")


def embed(texts: Sequence[str]) -> np.ndarray:
    """Return unit vectors by which words are in a text; a text of other words points the other way."""
    rows = np.array([[float(word in text.casefold()) for word in WORDS] for text in texts])
    rows[rows.sum(axis=1) == 0] = -1.0
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def metric(outputs: dict[str, FieldSpec] | None = None) -> SimilarityMetric:
    built = build_metric("semantic_similarity", outputs or TEXT, Path())
    assert isinstance(built, SimilarityMetric)
    return built.bound(embed)


@pytest.mark.parametrize(
    ("seen", "score"),
    [
        ("open TODAY ", 1.0),
        ("today it is open", 1.0),
        ("it is open", 0.5**0.5),
        ("closed", 0.0),
        ("hm", 0.0),
        ("", 0.0),
    ],
)
def test_the_score_is_the_cosine(seen: str, score: float) -> None:
    example = Example({"q": "?"}, {"reply": "open today"})
    value, feedback = metric()(example, {"reply": seen})
    assert value == pytest.approx(score)
    assert f"({score:.2f})" in feedback
    assert asyncio.run(graded(metric(), example, {"reply": seen})) == Grade(value, feedback)


def test_what_cannot_be_read_or_is_not_there_scores_nothing() -> None:
    example = Example({"q": "?"}, {"reply": "open"})
    assert metric()(example, None)[0] == metric()(example, {})[0] == 0.0


def test_the_best_reference_and_each_output_count() -> None:
    outputs = {"reply": FieldSpec(type="list[str]"), "why": FieldSpec()}
    example = Example({"q": "?"}, {"reply": ["never", "open today"], "why": "closed"})
    grade = asyncio.run(graded(metric(outputs), example, {"reply": "open", "why": "today"}))
    assert grade.parts == {"reply": pytest.approx(0.5**0.5), "why": 0.0}
    assert grade.value == pytest.approx(0.5**0.5 / 2)


@given(st.lists(st.sampled_from(WORDS), min_size=1), st.lists(st.sampled_from(WORDS), min_size=1))
def test_it_is_symmetric_and_from_0_to_1(one: list[str], other: list[str]) -> None:
    texts = " ".join(one), " ".join(other)
    scores = [metric()(Example({}, {"reply": a}), {"reply": b})[0] for a, b in (texts, texts[::-1])]
    assert scores[0] == pytest.approx(scores[1])
    assert 0 <= scores[0] <= 1
    assert metric()(Example({}, {"reply": texts[0]}), {"reply": texts[0]})[0] == 1.0


def test_equal_texts_need_no_embedder_and_others_do() -> None:
    bare = build_metric("semantic_similarity", TEXT, Path())
    example = Example({"q": "?"}, {"reply": "Open."})
    assert isinstance(bare, SimilarityMetric)
    assert bare(example, example.outputs)[0] == 1.0
    with pytest.raises(TaskError, match="has no embedder"):
        bare(example, {"reply": "closed"})
    assert builtin_of(bare) == {"name": "semantic_similarity"}


@pytest.mark.parametrize(
    ("spec", "outputs", "message"),
    [
        ({"name": "semantic_similarity", "model": "x"}, TEXT, "unknown key 'model'"),
        ("semantic_similarity", {"n": FieldSpec(type="int")}, "cannot compare 'n', which is int"),
    ],
)
def test_what_does_not_fit_is_refused(spec: object, outputs: dict[str, FieldSpec], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        build_metric(spec, outputs, Path())  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_real_embedder_puts_a_paraphrase_before_another_subject() -> None:
    from optimizer.models.embed import Embedder

    real = metric().bound(Embedder.local())
    example = Example({}, {"reply": "The shop opens at nine in the morning."})
    near, far = (real(example, {"reply": text})[0] for text in ("We open at 9 a.m.", "I like green tea."))
    assert far < 0.3 < 0.5 < near < 1
