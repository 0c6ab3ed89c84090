"""A run's ledger written by hand: every figure of its report is known."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path
from typing import Any

from optimizer.ledger.answers import put_scores
from optimizer.ledger.calls import CallTag, begin_call, fail_call, finish_call
from optimizer.ledger.examples import put_examples
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.trials import begin_trial, finish_trial
from optimizer.search.trials import parameters
from optimizer.types import Candidate, Example, Failure, Prompt, Score, Usage

LABELS = ("fruit", "metal")


def examples(kind: str, count: int = 12, words: str = "") -> list[Example]:
    """Return examples whose labels alternate."""
    return [Example({"text": f"{kind} {n} {words}"}, {"kind": LABELS[n % 2]}) for n in range(count)]


def candidates(words: str = "") -> list[Candidate]:
    """Return the seed and four others, the second of them the winner."""
    demos = tuple(examples("train", 2, words))
    return [
        Candidate({"predict": Prompt(f"Sort it. {words}")}, "seed"),
        Candidate({"predict": Prompt(f"Sort it well. {words}", "block", "static", 2, "given", demos)}, f"made {words}"),
        Candidate({"predict": Prompt("Sort it fast.")}, "templates"),
        Candidate({"predict": Prompt("Sort it late.")}, "templates"),
        Candidate({"predict": Prompt("Sort it never.", "json")}, "templates"),
    ]


def answers(rows: list[Example], right: int, words: str = "", tokens: int = 0) -> list[Score | Failure]:
    """Return results of one call each, the first `right` of them right; what is wrong says the other label."""
    found: list[Score | Failure] = []
    for place, row in enumerate(rows):
        label = row.outputs["kind"]
        said = label if place < right else LABELS[1 - LABELS.index(label)]
        found.append(Score(float(said == label), {"kind": said}, f"expected {label} {words}", tokens, 1))
    return found


def make_run(folder: Path, *, words: str = "", finished: bool = True, task: str = "sorting") -> Path:
    """Write a run; `words` stand in every text that a user, a model or the data could have written."""
    folder.mkdir(parents=True)
    validation, test = examples("validation", words=words), examples("test", words=words)
    seed, winner, other, slow, broken = candidates(words)
    with closing(Ledger(folder / "ledger.db")) as ledger:
        ledger.put_meta("run_id", "abcd1234")
        ledger.put_meta("planned", 8)
        ledger.put_meta("task_path", f"tasks/{task}")
        ledger.put_meta(
            "identity",
            {
                "config": {"search": {"trials": 8}, "seed": 3, "models": {"task": {"model": f"openai/{words}"}}},
                "task": {"name": task, "instruction": f"Sort it. {words}", "metric": "choice@1", "program": None},
                "package": {"metier": "0.1.0", "dspy": "3.4.1"},
            },
        )
        put_examples(ledger, (*validation, *test))
        plan: list[tuple[Candidate, str, int, int]] = [
            (seed, "complete", 12, 6),
            (winner, "complete", 12, 11),
            (other, "complete", 12, 10),
            (slow, "raced_out", 4, 1),
        ]
        for number, (candidate, state, seen, right) in enumerate(plan):
            begin_trial(ledger, number, candidate, parameters(candidate)).result(5)
            rows, tokens = validation[:seen], 10 * (number + 1)
            given = answers(rows, right, tokens=tokens)
            put_scores(ledger, candidate.id, "validation", 0, [r.id for r in rows], "choice@1", given)
            score = right / seen
            ends: dict[str, Any] = {"value": score, "score": score, "low": score - 0.2, "high": min(1.0, score + 0.2)}
            finish_trial(ledger, number, state=state, reason=f"why {words}", seen=seen, **ends).result(5)
            _calls(ledger, "search", number, seen, tokens)
        begin_trial(ledger, 4, broken, parameters(broken)).result(5)
        finish_trial(ledger, 4, state="failed", reason=f"failed {words}", seen=0, failures=4).result(5)
        row = begin_call(ledger, "broken", CallTag("task", "search", 4), {}).result(5)
        fail_call(ledger, row, Failure("server", f"500 {words}", 3)).result(5)
        if not finished:
            ledger.put_meta("stopped", {"at": 0.0, "why": f"interrupted {words}"})
            return folder
        for place, (side, right) in enumerate(((seed, 6), (winner, 11))):
            given = answers(test, right, words, 10 * (place + 1))
            put_scores(ledger, side.id, "test", 0, [r.id for r in test], "choice@1", given)
            _calls(ledger, "test", place, 12, 10 * (place + 1))
        ledger.put_meta("result", result(seed, winner, task))
    return folder


def _calls(ledger: Ledger, phase: Any, trial: int, count: int, tokens: int) -> None:
    for number in range(count):
        row = begin_call(ledger, f"{phase} {trial} {number}", CallTag("task", phase, trial), {}).result(5)
        finish_call(ledger, row, {}, Usage(1, 0, tokens - 1, 0, 1, 0.01), 1).result(5)


def result(seed: Candidate, winner: Candidate, task: str) -> dict[str, Any]:
    """Return the outcome as result.json has it."""
    usage = {**dataclasses.asdict(Usage()), "calls": {"task": 40, "prompt": 0, "judge": 0}}
    return {
        "run_id": "abcd1234",
        "task": task,
        "status": "finished",
        "verdict": "improved",
        "seed": {"test_score": 0.5, "test_ci95": [0.25, 0.75], "tokens_per_call": 10.0, "cut_answers": 0},
        "winner": {
            "candidate_id": winner.id,
            "test_score": 11 / 12,
            "test_ci95": [0.65, 0.99],
            "tokens_per_call": 20.0,
            "cut_answers": 0,
            "validation_score": 11 / 12,
            "prompt": winner.to_json(),
        },
        "difference": {"mean": 5 / 12, "ci95": [0.1, 0.7]},
        "usage": usage,
        "test_usage": usage,
        "lost_calls": 0,
        "trials": {"complete": 3, "raced_out": 1, "failed": 1},
        "seconds": 12.3,
        "mlflow": None,
        "baselines": [],
        "parts": [],
        "slices": [],
        "statistic": None,
        "pareto_front": [],
        "proposers": {},
        "recommendation": "Use the winner: it is better than the seed on examples that neither has seen.",
        "test_examples": 12,
        "notes": ["validation was split off"],
    }
