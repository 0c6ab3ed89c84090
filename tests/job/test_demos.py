"""The bundled task of two steps: both are searched together, with demos for the step that the data do not show."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from support.jobs import ROOT, light_embeddings, write_config

from optimizer import load_task
from optimizer.job.demos import SHOWN
from optimizer.job.notes import missing_answers
from optimizer.job.run import run_config
from optimizer.ledger.reader import Reader
from optimizer.ledger.trials import all_trials
from optimizer.search.verdict import Tested as Side
from optimizer.search.verdict import judge
from optimizer.testing.fake_server import FakeServer, Messages, text_of
from optimizer.types import Candidate, Failure, Prompt, Score

pytestmark = pytest.mark.timeout(120)
TASK = ROOT / "tasks" / "policy_answers"
FILES = [TASK / f"{split}.jsonl" for split in ("train", "validation", "test")]
ROWS = [json.loads(line) for file in FILES for line in file.read_text(encoding="utf-8").splitlines()]


def reader(messages: Messages) -> str:
    """Find rightly; answer rightly only where the prompt is more than the bare instruction."""
    asked = text_of(messages[-1])
    row = next(row for row in ROWS if row["question"] in asked)
    if row["policy"] in asked:
        return str(row["sentences"])
    return str(row["answer"]) if len(messages) > 2 or "only" in text_of(messages[0]) or len(row["answer"]) < 8 else "?"


def test_its_metric_tells_what_was_wrong() -> None:
    task = load_task(TASK)
    example = task.train[0]
    assert task.metric(example, example.outputs) == (1.0, "the answer is right: 21 days")
    score, told = task.metric(example, {"answer": "a month", "sentences": example.inputs["policy"]})
    assert score == 0
    assert "the answer is '21 days', not 'a month'" in told
    assert "the sentence to find was 'Books may be borrowed for 21 days.'" in told
    assert task.metric(example, {"answer": example.inputs["policy"], "sentences": ""})[0] == 0
    assert all(task.metric(e, e.outputs)[0] == 1 for e in (*task.train, *task.validation, *task.test))
    policies = [{e.inputs["policy"] for e in split} for split in (task.train, task.validation, task.test)]
    assert not policies[0] & policies[1] | policies[1] & policies[2] | policies[0] & policies[2]


def test_two_steps_are_searched_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    light_embeddings(monkeypatch.setattr)
    with FakeServer(reader) as server:
        data = {
            "task": str(TASK),
            "models": {"task": "openai/fake", "api_base": server.api_base, "concurrency": 4},
            "search": {"trials": 6, "formats": ["turns"], "round": 3, "block": 4, "demos": {"counts": [0, 2]}},
            "budget": {"calls": 160},
            "tracking": {"mlflow": None},
            "run_dir": str(tmp_path / "run"),
        }
        report = run_config(write_config(tmp_path / "run.yaml", data))
    with closing(Reader(tmp_path / "run" / "ledger.db")) as ledger:
        shown = ledger.meta(SHOWN)
        prompts = [row.candidate.to_json() for row in all_trials(ledger)]
    # `find` is in the data; what `answer` is given is not, but for what the seed found.
    assert set(shown) == {"answer"}
    assert shown["answer"]
    rows = {(row["question"], row["sentences"]): row["answer"] for row in ROWS}
    for inputs, outputs in shown["answer"]:
        assert rows[inputs["question"], inputs["sentences"]] == outputs["answer"]
    for step in ("find", "answer"):
        assert len({json.dumps(prompt[step]) for prompt in prompts}) >= 2
    assert report.winner.test_score > report.seed.test_score
    assert report.verdict == "improved"


def note_of(seed: list[float | None], winner: list[float | None]) -> str:
    sides = (
        Side(Candidate({"predict": Prompt(text)}), [Failure("timeout", "s") if v is None else Score(v) for v in values])
        for text, values in (("one", seed), ("two", winner))
    )
    return missing_answers(judge(*sides))


def test_a_reader_is_told_what_missing_answers_do_to_the_verdict() -> None:
    found = (
        "one prompt alone answered 3 of 40 test examples (the winner lacks 2, the seed 1), which are left out of the "
        "difference"
    )
    gaps: list[float | None] = [None, None]
    held = note_of([0.0] * 39 + [None], [*gaps, *[1.0] * 38])
    assert held == f"{found}; whatever they were, the verdict would be the same"
    broken = note_of([1.0] * 2 + [0.0] * 6 + [1.0] * 31 + [None], [*gaps, *[1.0] * 38])
    assert broken.startswith(f"{found}: so the verdict is inconclusive, for with the missing answers at their worst")
    assert note_of([1.0] * 39 + [None], [*gaps, *[1.0] * 38]) == found
    assert "over a fifth" in note_of([0.0] * 10, [*gaps, None, *[1.0] * 7])
    assert note_of([0.0], [1.0]) == note_of([None], [None]) == ""
