"""Calibrates a candidate by its own answers: each example is read by what the others have shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from optimizer.evaluate.calibration import UNKNOWN, Lean, cross_fitted, fit, probabilities
from optimizer.evaluate.evaluator import Evaluator, Result, pair_of
from optimizer.evaluate.leaning import leaning, statistic_of_labels
from optimizer.prompt.readout import Labels, labels_of
from optimizer.task.metrics.labels import label_of
from optimizer.types import Candidate, Example, Failure, Score


async def calibrated(
    evaluator: Evaluator, candidate: Candidate, examples: Sequence[Example], results: Sequence[Result], split: str
) -> tuple[Candidate, list[Result]]:
    """Return a candidate with the calibration that its answers show, and what these are worth after one.

    `results` are all of the candidate's so far, from the split's first example on; they are recorded anew. An answer
    is read by a calibration that was fitted without it, so that its score is that of a new example. Those whose
    labels' log-probabilities are not known stay what they were. Where the score is a statistic of labels, such as
    macro-F1, answers lean to rare ones as far as that is good for it.
    """
    (name, prompt), *others = candidate.prompts.items()
    labels = labels_of(evaluator.programs.build(candidate).predictors()[0].signature)
    known = [at for at, result in enumerate(results) if isinstance(result, Score) and result.logprobs]
    if others or labels is None or prompt.readout != "calibrated" or not known:
        return candidate, list(results)
    table = np.array([results[at].logprobs for at in known])  # type: ignore[union-attr]
    truth = label_numbers(labels, [examples[at] for at in known])
    lean = _lean(evaluator, labels)
    chances = cross_fitted(table, truth, candidate.together, lean)
    chosen = chances.round(9).argmax(axis=1).tolist()  # rounded: ties go to the first label anywhere
    read = list(results)
    for at, number in zip(known, chosen, strict=True):
        read[at] = await _read_as(evaluator, labels, number, examples[at], results[at])
    await evaluator.record(candidate, examples, read, split)
    calibration = fit(table, truth, labels.words, candidate.together)
    if lean is not None:
        calibration = calibration.leant(lean(probabilities(calibration, table), truth).tolist())
    return replace(candidate, prompts={name: replace(prompt, calibration=calibration)}), read


def label_numbers(labels: Labels, examples: Sequence[Example]) -> list[int]:
    """Return the number of each example's label; UNKNOWN where it has none of these."""
    numbers = [labels.number(example.outputs.get(labels.field)) for example in examples]
    return [UNKNOWN if number is None else number for number in numbers]


def _lean(evaluator: Evaluator, labels: Labels) -> Lean | None:
    """Return how answers lean to rare labels for the metric; None where the likeliest label is the best answer."""
    statistic = statistic_of_labels(evaluator.aggregate)
    if statistic is None:
        return None
    names = [label_of(labels.value(number)) for number in range(len(labels.words))]
    return partial(leaning, statistic, names) if {*names} == {*statistic.labels} else None


async def _read_as(evaluator: Evaluator, labels: Labels, number: int, example: Example, result: Result) -> Result:
    """Return a result as if a label had been the answer."""
    value = labels.value(number)
    if not isinstance(result, Score) or result.answer.get(labels.field) == value:
        return result
    answer = {**result.answer, labels.field: value}
    grade = await evaluator.graded(example, answer)
    if isinstance(grade, Failure):
        return grade
    pair = pair_of(evaluator.metric, grade, example, answer, result.logprobs)
    return replace(result, value=grade.value, answer=answer, feedback=grade.feedback, parts=grade.parts, pair=pair)
