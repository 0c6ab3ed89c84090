from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimizer.evaluate.calibration import calibration_error, cross_fitted
from optimizer.evaluate.reliability import FEWEST, reliability
from optimizer.ledger.answers import answers_of, put_scores
from optimizer.ledger.calls import CallTag, begin_call, finish_call
from optimizer.ledger.examples import put_examples
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.trials import begin_trial
from optimizer.types import Calibration, Candidate, Example, Prompt, Score, Usage

LABELS = ("fruit", "metal")
FITTED = Calibration(1.0, (1.0, -1.0), 1.0, LABELS)
CANDIDATE = Candidate({"predict": Prompt("Sort it.", readout="calibrated", calibration=FITTED)})


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.db")) as opened:
        yield opened


def record(ledger: Ledger, chances: Sequence[float], values: Sequence[Any], names: Sequence[str] = LABELS) -> None:
    """Write down a trial that gave the first label these chances, and what was right."""
    rows = [Example({"text": str(n)}, {"kind": value}) for n, value in enumerate(values)]
    put_examples(ledger, rows)
    begin_trial(ledger, 3, CANDIDATE, {}).result(5)
    put_scores(ledger, CANDIDATE.id, "validation", 0, [row.id for row in rows], "m", [Score(1.0)] * len(rows)).result(5)
    for row, chance in zip(rows, chances, strict=False):
        top = [
            {"token": name, "logprob": math.log(share)} for name, share in zip(names, (chance, 1 - chance), strict=True)
        ]
        response = {"logprobs": [{**max(top, key=lambda one: float(one["logprob"])), "top": top}]}
        call = begin_call(ledger, row.id, CallTag("task", "search", 3, row.id), {}).result(5)
        finish_call(ledger, call, response, Usage(1), 1).result(5)


def test_the_errors_are_those_of_what_the_model_said_before_and_after_calibration(ledger: Ledger) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 40).tolist()
    # By 3 nats the model favours the second label.
    chances = [1 / (1 + math.exp(3 + 2 * label - 1 + float(rng.normal()))) for label in truth]
    record(ledger, chances, [LABELS[label] for label in truth])
    known = reliability(ledger, CANDIDATE, answers_of(ledger, CANDIDATE.id, "validation"))
    assert known is not None
    table = np.array([[chance, 1 - chance] for chance in chances])
    assert known.answers == 40
    assert known.before == pytest.approx(calibration_error(table, truth))
    assert known.after == pytest.approx(calibration_error(cross_fitted(np.log(table), truth), truth))
    assert known.after < known.before


def test_yes_and_no_are_labels_too(ledger: Ledger) -> None:
    words = ("yes", "no")
    fitted = Prompt("Is it?", readout="calibrated", calibration=Calibration(1.0, (0.0, 0.0), 0.0, words))
    asked = Candidate({"predict": fitted})
    record(ledger, [0.75] * FEWEST, [True] * FEWEST, words)
    begin_trial(ledger, 3, asked, {}).result(5)
    known = reliability(ledger, asked, answers_of(ledger, CANDIDATE.id, "validation"))
    assert known is not None
    assert known.before == pytest.approx(0.25)


@pytest.mark.parametrize(
    "candidate",
    [
        Candidate({"predict": Prompt("Sort it.")}),
        Candidate({"predict": Prompt("Sort it.", readout="calibrated")}),
        Candidate({"one": Prompt("Sort it."), "two": Prompt("Again.")}),
    ],
)
def test_what_is_not_calibrated_has_none(ledger: Ledger, candidate: Candidate) -> None:
    assert reliability(ledger, candidate, []) is None


def test_too_few_answers_tell_nothing(ledger: Ledger) -> None:
    # All are scored, and one was paid by somebody else.
    record(ledger, [0.6] * (FEWEST - 1), ["fruit"] * FEWEST)
    assert reliability(ledger, CANDIDATE, answers_of(ledger, CANDIDATE.id, "validation")) is None


def test_of_an_ensemble_nothing_is_known(ledger: Ledger) -> None:
    """Its other prompts' answers were paid for by the trials that tried them alone."""
    record(ledger, [0.6] * FEWEST, ["fruit"] * FEWEST)
    answers = answers_of(ledger, CANDIDATE.id, "validation")
    assert reliability(ledger, CANDIDATE, answers) is not None
    other = Prompt("Sort.", readout="choose")
    whole = Candidate({"predict": replace(CANDIDATE.prompts["predict"], ensemble=(other,))})
    assert reliability(ledger, whole, answers) is None
