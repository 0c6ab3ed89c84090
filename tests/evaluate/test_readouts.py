"""A candidate's calibration is fitted to its own answers, and each is read by what the others have shown."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import dspy
import numpy as np
import pytest

from optimizer.evaluate.calibration import fit
from optimizer.evaluate.evaluator import Evaluator, Result
from optimizer.evaluate.readouts import calibrated
from optimizer.ledger.answers import answers_of, put_scores
from optimizer.ledger.ledger import Ledger
from optimizer.prompt.builder import ROOT
from optimizer.prompt.program import Programs
from optimizer.task.metrics.build import build_metric
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task
from optimizer.types import Candidate, Example, Failure, Prompt, Readout, Score

LABELS = ("card", "loan")
# The model favours `card`: it says so wherever it is not very sure of the other.
BIAS = 2.0


def candidate(readout: Readout = "calibrated", **changes: object) -> Candidate:
    return Candidate({ROOT: Prompt("Sort.", "turns", readout=readout)}, "templates", **changes)  # type: ignore[arg-type]


@pytest.fixture
def examples() -> list[Example]:
    return [Example({"message": f"message {n}"}, {"team": LABELS[n % 2]}) for n in range(80)]


@pytest.fixture
def evaluator(tmp_path: Path, examples: Sequence[Example]) -> Iterator[Evaluator]:
    outputs = {"team": FieldSpec(choices=LABELS)}
    metric = build_metric("exact_match", outputs, tmp_path)
    task = Task.from_parts(
        name="tiny",
        description="",
        instruction="Sort.",
        inputs={"message": FieldSpec()},
        outputs=outputs,
        train=(),
        validation=tuple(examples),
        test=(),
        metric=metric,
        folder=tmp_path,
    )
    ledger = Ledger(tmp_path / "ledger.db")
    programs = Programs(task, (), None)  # type: ignore[arg-type]
    yield Evaluator(programs, dspy.utils.DummyLM([{}]), metric, ["team"], ledger, 4)
    ledger.close()


def answered(evaluator: Evaluator, examples: Sequence[Example], bias: float = BIAS) -> list[Result]:
    """Return what a biased model's likeliest labels are worth: right but for its bias."""
    rng = random.Random(1)
    results: list[Result] = []
    for example in examples:
        right = 1.0 + 0.5 * rng.random()
        scores = [bias / 2 + right * (example.outputs["team"] == "card"), right * (example.outputs["team"] == "loan")]
        total = math.log(sum(map(math.exp, scores)))
        results.append(score(evaluator, example, [one - total for one in scores]))
    return results


def score(evaluator: Evaluator, example: Example, logprobs: Sequence[float]) -> Score:
    answer = {"team": LABELS[logprobs[1] > logprobs[0]]}
    value, feedback = evaluator.metric(example, answer)
    return Score(value, answer, feedback, tokens=7, calls=1, logprobs=tuple(logprobs))


def of_rare(seed: int, count: int = 60) -> tuple[list[Example], list[list[float]]]:
    """Return examples one in six of which is a loan, and the log-probabilities of a model that can hardly tell."""
    rng = random.Random(seed)
    examples = [Example({"message": f"message {n}"}, {"team": LABELS[n % 6 == 0]}) for n in range(count)]
    odds = [rng.gauss(-2.0, 0.8) + 1.0 * (example.outputs["team"] == "loan") for example in examples]
    return examples, [[-math.log1p(math.exp(one)), one - math.log1p(math.exp(one))] for one in odds]


def fitted(
    evaluator: Evaluator, one: Candidate, examples: Sequence[Example], results: Sequence[Result]
) -> tuple[Candidate, list[Result]]:
    return asyncio.run(calibrated(evaluator, one, examples, results, "validation"))


def mean(results: Sequence[Result]) -> float:
    return sum(one.value for one in results if isinstance(one, Score)) / len(results)


def said(results: Sequence[Result]) -> list[Mapping[str, object] | None]:
    return [one.answer if isinstance(one, Score) else None for one in results]


def test_a_planted_bias_is_mended(evaluator: Evaluator, examples: list[Example]) -> None:
    results = answered(evaluator, examples, bias=4.0)
    after, read = fitted(evaluator, candidate(), examples, results)
    assert mean(results) == 0.5, "it always says card"
    assert mean(read) == 1.0
    calibration = after.prompts[ROOT].calibration
    assert calibration is not None
    assert calibration.labels == LABELS
    assert calibration.offsets[1] - calibration.offsets[0] > 1.0
    assert [one.answer["team"] for one in read if isinstance(one, Score)] == [e.outputs["team"] for e in examples]
    assert all(isinstance(one, Score) and (one.tokens, one.calls) == (7, 1) for one in read)


def test_macro_f1_lets_answers_lean_to_the_rare_label(evaluator: Evaluator, tmp_path: Path) -> None:
    examples, told = of_rare(0)
    metric = build_metric("macro_f1", {"team": FieldSpec(choices=LABELS)}, tmp_path)
    by_f1 = replace(evaluator, metric=metric)
    loans, leans = {}, {}
    for name, one in {"right answers": evaluator, "macro_f1": by_f1}.items():
        results: list[Result] = [
            replace(score(one, example, logprobs), pair=(str(example.outputs["team"]), "card"))
            for example, logprobs in zip(examples, told, strict=True)
        ]
        after, read = fitted(one, candidate(), examples, results)
        calibration = after.prompts[ROOT].calibration
        assert calibration is not None
        loans[name], leans[name] = said(read).count({"team": "loan"}), calibration.lean
        assert calibration.offsets == pytest.approx(_plain(examples, told, calibration.lean))
    assert leans["right answers"] == ()
    assert leans["macro_f1"][1] > 0.3
    assert loans["right answers"] < 3 < 8 < loans["macro_f1"], "10 are"


def _plain(examples: Sequence[Example], told: Sequence[Sequence[float]], lean: Sequence[float]) -> list[float]:
    """Return the offsets that the model needs, with what the metric adds to them."""
    offsets = fit(np.array(told), [LABELS.index(example.outputs["team"]) for example in examples]).offsets
    return [offset + more for offset, more in zip(offsets, lean or (0.0, 0.0), strict=True)]


@pytest.mark.parametrize("seed", range(3))
def test_an_examples_own_label_does_not_make_it_lean(evaluator: Evaluator, tmp_path: Path, seed: int) -> None:
    examples, told = of_rare(seed, 30)
    metric = build_metric("balanced_accuracy", {"team": FieldSpec(choices=LABELS)}, tmp_path)
    by_recall = replace(evaluator, metric=metric)

    def read(at: int, label: str) -> Mapping[str, object] | None:
        changed = [*examples]
        changed[at] = replace(examples[at], outputs={"team": label})
        results: list[Result] = [
            replace(score(by_recall, example, logprobs), pair=(str(example.outputs["team"]), "card"))
            for example, logprobs in zip(changed, told, strict=True)
        ]
        return said(fitted(by_recall, candidate(), changed, results)[1])[at]

    for at in range(0, 30, 5):
        assert read(at, "card") == read(at, "loan")


def test_what_it_is_fitted_to_does_not_change_what_a_candidate_is(
    evaluator: Evaluator, examples: list[Example]
) -> None:
    one = candidate(parents=("a parent",))
    after, _ = fitted(evaluator, one, examples, answered(evaluator, examples))
    assert after != one
    assert (after.id, after.origin, after.parents) == (one.id, one.origin, one.parents)


def test_the_ledger_holds_what_the_answers_are_worth_by_now(evaluator: Evaluator, examples: list[Example]) -> None:
    one, results = candidate(), answered(evaluator, examples, bias=4.0)
    ids = [example.id for example in examples]
    version = f"{evaluator.metric.name}@{evaluator.metric.version}"
    put_scores(evaluator.ledger, one.id, "validation", 0, ids, version, results).result()
    _, read = fitted(evaluator, one, examples, results)
    rows = answers_of(evaluator.ledger, one.id, "validation")
    assert [(row.value, row.fields, row.example) for row in rows] == [
        (one.value, one.answer, example.id)
        for one, example in zip(read, examples, strict=True)
        if isinstance(one, Score)
    ]
    assert sum(row.value or 0.0 for row in rows) == len(examples)


@pytest.mark.parametrize("seed", range(3))
def test_an_examples_own_label_does_not_move_its_answer(
    evaluator: Evaluator, examples: list[Example], seed: int
) -> None:
    """Its score would else be better than a new example's: here all lie where any vote counts."""
    rng, few = random.Random(seed), examples[:15]
    labels = [rng.choice(("card", "loan", "loan")) for _ in few]
    few = [replace(example, outputs={"team": label}) for example, label in zip(few, labels, strict=True)]
    results: list[Result] = []
    for example in few:
        loan = 1.0 / (1.0 + math.exp(1.2 + rng.gauss(0.0, 0.6)))
        results.append(score(evaluator, example, [math.log(1.0 - loan), math.log(loan)]))
    wanted = said(fitted(evaluator, candidate(), few, results)[1])
    for at, label in enumerate(labels):
        other = {"team": LABELS[label == "card"]}
        changed = [replace(e, outputs=other) if n == at else e for n, e in enumerate(few)]
        assert said(fitted(evaluator, candidate(), changed, results)[1])[at] == wanted[at]


def test_failures_and_answers_without_log_probabilities_stay(evaluator: Evaluator, examples: list[Example]) -> None:
    results = answered(evaluator, examples, bias=4.0)
    unread = Score(0.0, {"unreadable": "Who knows"}, "names no label", logprobs=())
    silent = Score(1.0, {"team": "loan"}, "")
    results[1], results[3], results[7] = Failure("timeout", "late"), unread, silent
    after, read = fitted(evaluator, candidate(), examples, results)
    assert (read[1], read[3], read[7]) == (results[1], unread, silent)
    assert after.prompts[ROOT].calibration is not None
    assert mean(read) == pytest.approx(78 / 80)


def test_without_any_log_probabilities_nothing_is_fitted(evaluator: Evaluator, examples: list[Example]) -> None:
    silent: list[Result] = [Score(1.0, {"team": "loan"}) for _ in examples]
    assert fitted(evaluator, candidate(), examples, silent) == (candidate(), silent)
    assert answers_of(evaluator.ledger, candidate().id, "validation") == []


def test_other_readouts_are_left_alone(evaluator: Evaluator, examples: list[Example]) -> None:
    results = answered(evaluator, examples)
    others: tuple[Readout, ...] = ("generate", "choose")
    for readout in others:
        one = candidate(readout)
        assert fitted(evaluator, one, examples, results) == (one, results)


def test_an_example_without_a_known_label_is_read_all_the_same(evaluator: Evaluator, examples: list[Example]) -> None:
    examples[4] = replace(examples[4], outputs={"team": "something else"})
    results = answered(evaluator, examples, bias=4.0)
    _, read = fitted(evaluator, candidate(), examples, results)
    assert isinstance(read[4], Score)
    assert read[4].value == 0.0
    assert mean(read) == pytest.approx(79 / 80)
