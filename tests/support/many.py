"""A finished run of thousands of trials, written straight into its ledger: what a long night leaves behind."""

from __future__ import annotations

import json
import random
from contextlib import closing
from pathlib import Path
from typing import Any

from report.made import LABELS, answers, examples, result

from optimizer.ledger.answers import put_scores
from optimizer.ledger.calls import CallTag, begin_call, finish_call
from optimizer.ledger.examples import put_examples
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.trials import begin_trial, finish_trial
from optimizer.search.trials import parameters
from optimizer.types import Candidate, Example, Prompt, Usage

VALIDATION, TEST, RACED = 40, 40, 8
FORMATS = ("turns", "fields", "block", "chat", "json", "xml")


def make_many(folder: Path, trials: int, uri: str = "", paid: int = 1, seed: int = 0) -> Path:
    """Write a run; every tenth trial saw all examples, the others were raced out. `paid` calls a trial are recorded."""
    folder.mkdir(parents=True)
    chance = random.Random(seed)
    validation, test, train = examples("validation", VALIDATION), examples("test", TEST), examples("train", 32)
    with closing(Ledger(folder / "ledger.db")) as ledger:
        _about(ledger, uri, trials)
        put_examples(ledger, (*validation, *test))
        sides: list[tuple[float, Candidate]] = []
        asked: list[tuple[CallTag, Example]] = []
        for number in range(trials):
            complete = number % 10 == 0
            candidate = _candidate(number, train, chance)
            right = chance.randint(20, 38) if complete else chance.randint(1, 5)
            seen = VALIDATION if complete else RACED
            _trial(ledger, number, candidate, validation[:seen], right)
            asked += [(CallTag("task", "search", number, row.id), row) for row in validation[:paid]]
            sides += [(right / seen, candidate)] if complete else []
        first, winner = sides[0][1], max(sides, key=lambda side: side[0])[1]
        for place, side in enumerate((first, winner)):
            rows = [example.id for example in test]
            put_scores(ledger, side.id, "test", 0, rows, "choice@1", answers(test, 20 + 15 * place))
            asked += [(CallTag("task", "test", place, row.id), row) for row in test]
        _calls(ledger, asked)
        told = result(first, winner, "sorting")
        ledger.put_meta("result", told)
    (folder / "result.json").write_text(json.dumps(told))
    return folder


def _about(ledger: Ledger, uri: str, trials: int) -> None:
    ledger.put_meta("run_id", "abcd1234")
    ledger.put_meta("task_path", "tasks/sorting")
    config = {"search": {"trials": trials}, "seed": 3, "models": {"task": {"model": "openai/fake"}}}
    facts = {"name": "sorting", "instruction": "Sort it.", "metric": "choice@1", "program": None}
    ledger.put_meta("identity", {"config": config, "task": facts, "package": {"metier": "0.1.0"}})
    about = {"uri": uri, "experiment": "metier", "name": "sorting abcd1234", "params": {"task": "sorting"}}
    about |= {"config": "seed: 3\n", "block": 4, "started": 1.5, "ended": 9.0, "status": "FINISHED"}
    ledger.put_meta("tracking", about)


def _candidate(number: int, train: list[Example], chance: random.Random) -> Candidate:
    count = chance.choice((2, 4, 8, 16))
    text = f"Sort it, in the way of {number}: {'name the kind that the sentence is about. ' * 4}"
    demos = tuple(chance.sample(train, count))
    return Candidate({"predict": Prompt(text, FORMATS[number % 5], "static", count, "given", demos)}, "templates")  # type: ignore[arg-type]


def _trial(ledger: Ledger, number: int, candidate: Candidate, rows: list[Example], right: int) -> None:
    begin_trial(ledger, number, candidate, parameters(candidate))
    put_scores(ledger, candidate.id, "validation", 0, [row.id for row in rows], "choice@1", answers(rows, right))
    score, complete = right / len(rows), len(rows) == VALIDATION
    ends: dict[str, Any] = {"value": score, "score": score, "low": score - 0.1, "high": min(1.0, score + 0.1)}
    state, reason = ("complete", "saw every example") if complete else ("raced_out", "behind #10 by 21 points")
    finish_trial(ledger, number, state=state, reason=reason, seen=len(rows), failures=0, **ends)


def _calls(ledger: Ledger, asked: list[tuple[CallTag, Example]]) -> None:
    """Record the calls, thousands in one commit: one by one they would take minutes."""
    begun = []
    for tag, row in asked:
        request = {"model": "m", "system": "Sort it. " * 30, "messages": _turns(str(row.inputs["text"]))}
        begun.append(begin_call(ledger, f"{tag.phase} {tag.trial} {row.id}", tag, request))
    reply = {"model": "m-1", "message": {"role": "assistant", "parts": [{"text": LABELS[0]}]}}
    for number, (tag, _) in zip(begun, asked, strict=True):
        finish_call(ledger, number.result(60), reply, Usage(1, 0, 90 + (tag.trial or 0) % 40, 0, 2, 0.0001), 1)


def _turns(text: str) -> list[dict[str, Any]]:
    said = [("user", f"example {n}") if n % 2 == 0 else ("assistant", "fruit") for n in range(16)]
    return [{"role": role, "parts": [{"text": told}]} for role, told in [*said, ("user", text)]]
