"""A finished run, its files made by hand: what a mirror reads, without a search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from optimizer.ledger.answers import put_scores
from optimizer.ledger.calls import CallTag, begin_call, fail_call, finish_call
from optimizer.ledger.examples import put_examples
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.result import Report, Side, put_result
from optimizer.ledger.trials import begin_trial, finish_trial
from optimizer.types import Candidate, Example, Failure, Prompt, Score, Usage

DEMO = Example({"text": "a crow"}, {"kind": "bird"})
SEED = Candidate({"predict": Prompt("Sort it.")}, "seed")
WINNER = Candidate({"predict": Prompt("Sort it with care.", "turns", "static", 1, "given", (DEMO,))}, "templates")
EXAMPLES = [Example({"text": f"the {number}th owl"}, {"kind": "bird"}) for number in range(30)]
VALIDATION, TEST = EXAMPLES[:6], EXAMPLES[6:]
RIGHT = Score(1.0, {"kind": "bird"}, "right", tokens=12, calls=1)
WRONG = Score(0.0, {"kind": "fruit"}, "wrong", tokens=12, calls=1)


def calls(ledger: Ledger, tag: CallTag, examples: Sequence[Example], answer: str | Failure) -> None:
    """Record a call for each example, all with the same answer."""
    tags = [replace(tag, example=example.id) for example in examples]
    texts = [str(example.inputs["text"]) for example in examples]
    requests = [
        {"model": "m", "system": "Sort it.", "messages": [{"role": "user", "parts": [{"text": text}]}]}
        for text in texts
    ]
    rows = [begin_call(ledger, f"{tag}", tag, request) for tag, request in zip(tags, requests, strict=True)]
    for row in rows:
        if isinstance(answer, Failure):
            fail_call(ledger, row.result(20), answer)
        else:
            response = {"model": "m-1", "message": {"role": "assistant", "parts": [{"text": answer}]}}
            finish_call(ledger, row.result(20), response, Usage(1, 0, 10, 0, 2, 0.001), 1)


def answered(
    ledger: Ledger, candidate: Candidate, split: str, tag: CallTag, examples: Sequence[Example], score: Score
) -> None:
    """Record that a candidate answered examples, all alike."""
    calls(ledger, tag, examples, str(score.answer["kind"]))
    put_scores(ledger, candidate.id, split, 0, [e.id for e in examples], "m@1", [score] * len(examples)).result(20)


def best_json(verdict: str = "improved", candidate: Candidate = WINNER) -> dict[str, Any]:
    """Return what a run's best.json holds."""
    instruction = candidate.prompts["predict"].instruction
    return {
        "metier": 1,
        "task": "sort it",
        "run_id": "abc",
        "verdict": verdict,
        "test_score": 1.0,
        "candidate_id": candidate.id,
        "model": {"model": "openai/fake", "temperature": 0.0},
        "inputs": {"text": {"type": "str", "desc": ""}},
        "outputs": {"kind": {"type": "str", "choices": ["bird", "fruit"], "desc": ""}},
        "program": None,
        "prompts": candidate.to_json(),
        "messages": {"predict": [{"role": "system", "content": instruction}, {"role": "user", "content": "{{text}}"}]},
        "pool": [],
    }


def outcome(folder: Path, verdict: str = "improved", candidate: Candidate = WINNER) -> Report:
    """Return what came of a run."""
    usage = {"calls": {"task": 12}, "input_tokens": 120, "output_tokens": 24, "usd": 0.012}
    return Report(
        run_id="abc",
        task="sort it",
        run_dir=folder,
        verdict=verdict,
        seed=Side(SEED, 0.0, (0.0, 0.2), 12.0),
        winner=Side(candidate, 1.0, (0.8, 1.0), 12.0),
        validation_score=1.0,
        difference=1.0,
        difference_ci95=(0.9, 1.0),
        test_examples=len(TEST),
        usage=usage,
        test_usage=usage,
        trials={"complete": 1, "raced_out": 1, "failed": 1},
        seconds=9.0,
        mlflow=None,
    )


def make_run(folder: Path, uri: str, verdict: str = "improved") -> None:
    """Write a run: the seed raced out, a winner, a trial whose calls failed, and the test of both prompts."""
    with closing(Ledger(folder / "ledger.db")) as ledger:
        ledger.put_meta("run_id", "abc")
        ledger.put_meta("identity", {"config": {"seed": 1, "budget": {"calls": 9}}, "package": {"dspy": "3"}})
        put_examples(ledger, EXAMPLES)
        data = [{"name": "sort it", "split": "test", "digest": "0123", "examples": len(TEST)}]
        about = {"uri": uri, "experiment": "metier", "name": "sort it abc", "params": {"task": "sort it"}}
        about |= {"config": "seed: 1\n", "block": 2, "data": data, "tags": {"task_fingerprint": "fp"}}
        ledger.put_meta("tracking", {**about, "started": 1.5, "ended": 9.0, "status": "FINISHED"})
        for number, (candidate, state, score) in enumerate([(SEED, "raced_out", WRONG), (WINNER, "complete", RIGHT)]):
            params = {"predict.instruction": candidate.prompts["predict"].instruction}
            begin_trial(ledger, number, candidate, params)
            seen = VALIDATION[: 4 if state == "raced_out" else 6]
            answered(ledger, candidate, "validation", CallTag("task", "search", number), seen, score)
            answered(ledger, candidate, "test", CallTag("task", "test", number), TEST, score)
            ends = {"value": score.value, "score": score.value, "low": 0.0, "high": 1.0, "seen": len(seen)}
            finish_trial(ledger, number, state=state, reason="why", failures=0, **ends)
        broken = Candidate({"predict": Prompt("Break.")}, "templates")
        begin_trial(ledger, 2, broken, {})
        calls(ledger, CallTag("task", "search", 2), VALIDATION[:1], Failure("timeout", "too slow"))
        finish_trial(ledger, 2, state="failed", reason="1 of 1 answers never came", seen=1, failures=1).result(20)
        put_result(ledger, outcome(folder, verdict), json.dumps(best_json(verdict)))
