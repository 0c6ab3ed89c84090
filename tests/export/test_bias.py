from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.readouts import LONG, OFFSETS, SHORT, labelled_prompt, labelled_task

from optimizer.export.bias import MOST, CannotHold, label_biases
from optimizer.export.targets import export
from optimizer.testing.label_model import tokenize
from optimizer.types import Calibration, first_greatest

NUMBERS = st.floats(-8, 8)


@given(
    pairs=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=6),
    scale=st.floats(0.2, 3.0),
)
def test_biases_choose_as_the_calibration_does(pairs: list[tuple[float, float]], scale: float) -> None:
    logprobs, offsets = zip(*pairs, strict=True)
    worth = sorted(scale * logprob + offset for logprob, offset in pairs)
    assume(worth[-1] - worth[-2] > 1e-6)
    biases = label_biases(Calibration(scale, offsets, 1.0), len(pairs))
    assert max(biases) == MOST
    chosen = first_greatest([one + bias for one, bias in zip(logprobs, biases, strict=True)])
    assert chosen == Calibration(scale, offsets, 1.0).best(logprobs)


def test_without_a_calibration_all_labels_have_the_same_bias() -> None:
    assert label_biases(None, 3) == [MOST] * 3


@pytest.mark.parametrize(
    ("scale", "offsets", "why"), [(0.0, (0.5, -0.5), "the scale 0"), (0.01, (1.5, -1.5), "offsets lie 300 nats apart")]
)
def test_what_biases_cannot_say_is_refused(scale: float, offsets: tuple[float, ...], why: str) -> None:
    with pytest.raises(CannotHold, match=why):
        label_biases(Calibration(scale, offsets, 1.0), 2)
    assert min(label_biases(Calibration(1.0, (MOST, -MOST), 1.0), 2)) == -MOST


def test_a_body_asks_for_one_token_of_a_label(tmp_path: Path) -> None:
    saved = labelled_prompt(tmp_path, labelled_task(tmp_path / "task", SHORT), "http://127.0.0.1:9/v1")
    made = export(saved, "openai", tokenize=tokenize)
    body = json.loads(made.text)
    tops = [offset / 1.4 for offset in OFFSETS]
    assert body["logit_bias"] == {
        str(tokenize(label)[0]): pytest.approx(MOST + top - max(tops)) for label, top in zip(SHORT, tops, strict=True)
    }
    assert {key: body[key] for key in body.keys() - {"messages", "logit_bias"}} == {
        "model": "fake",
        "temperature": 0.0,
        "max_completion_tokens": 1,
    }
    assert "fig, oak, owl, elm" in made.note
    assert "openai/fake alone" in made.note


@pytest.mark.parametrize(
    ("labels", "numbers", "why"),
    [
        (SHORT, lambda text: None, "does not tell the numbers of its tokens"),
        (LONG, tokenize, "the label 'card_arrival' has 3 tokens"),
        (SHORT, lambda text: [text.startswith("o")], "the labels 'oak' and 'owl' have the same token"),
    ],
)
def test_labels_that_are_no_single_tokens_are_refused(
    labels: Sequence[str], numbers: object, why: str, tmp_path: Path
) -> None:
    saved = labelled_prompt(tmp_path, labelled_task(tmp_path / "task", labels), "http://127.0.0.1:9/v1")
    with pytest.raises(CannotHold, match=why) as problem:
        export(saved, "openai", tokenize=numbers)  # type: ignore[arg-type]
    assert "openai cannot hold this prompt's readout as logit_bias" in problem.value.what
    assert "--to python or --to dspy" in problem.value.remedy
    with pytest.raises(CannotHold, match="does not tell the numbers"):
        export(saved, "openai")
