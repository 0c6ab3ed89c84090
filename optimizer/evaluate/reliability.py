"""How sure a candidate's labels were and how often they were right, from the answers that the ledger holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optimizer.evaluate.calibration import calibration_error, cross_fitted, probabilities
from optimizer.ledger.answers import Answer
from optimizer.ledger.calls import answered_calls
from optimizer.ledger.examples import known_examples
from optimizer.ledger.reader import Reader
from optimizer.ledger.trials import trial_figures
from optimizer.prompt.readout import label_logprobs
from optimizer.types import Calibration, Candidate

FEWEST = 20  # answers; of fewer, how sure they were and how often right differ by chance alone


@dataclass(frozen=True)
class Reliability:
    """The expected calibration error of a candidate's labels on so many `answers`, in [0, 1]; 0 is best.

    `before` is that of the model's own probabilities; `after` that of each answer by a calibration fitted without it.
    """

    answers: int
    before: float
    after: float


def reliability(ledger: Reader, candidate: Candidate, answers: Sequence[Answer]) -> Reliability | None:
    """Return how reliable a calibrated candidate's answers to validation examples are.

    None where it is not calibrated, or where its own trials have paid for fewer than `FEWEST` of the answers: those of
    an ensemble's prompts were paid for by others.
    """
    prompts = candidate.asked
    if len(prompts) != 1 or (calibration := prompts[0].calibration) is None:
        return None
    likely = _likely(ledger, candidate.id, calibration.labels)
    truth = _truth(ledger, calibration.labels)
    known = [answer.example for answer in answers if answer.example in likely and answer.example in truth]
    if len(known) < FEWEST:
        return None
    table, labels = np.array([likely[example] for example in known]), [truth[example] for example in known]
    none = Calibration(1.0, (0.0,) * len(calibration.labels), 0.0)
    before, after = probabilities(none, table), cross_fitted(table, labels)
    return Reliability(len(known), calibration_error(before, labels), calibration_error(after, labels))


def _likely(ledger: Reader, candidate: str, labels: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Return the labels' log-probabilities by example, as far as a candidate's own trials have paid for them."""
    numbers = [trial.number for trial in trial_figures(ledger) if trial.candidate_id == candidate]
    logprobs = {}
    for call in (call for number in numbers for call in answered_calls(ledger, "search", number)):
        tokens = [_token(token) for token in (call.response or {}).get("logprobs") or ()]
        if call.example is not None and (each := label_logprobs(tokens, labels)):
            logprobs[call.example] = each
    return logprobs


def _token(token: Mapping[str, Any]) -> dict[str, Any]:
    """Return a token of a recorded answer as OpenAI's protocol has it."""
    return {"token": token["token"], "logprob": token["logprob"], "top_logprobs": token.get("top")}


def _truth(ledger: Reader, labels: Sequence[str]) -> dict[str, int]:
    """Return the number of each known example's label, by the example's id."""
    numbers = {label: number for number, label in enumerate(labels)}
    truth = {}
    for example, known in known_examples(ledger).items():
        for value in known.outputs.values():
            label = ("no", "yes")[value] if isinstance(value, bool) else value
            if label in numbers:
                truth[example] = numbers[label]
    return truth
