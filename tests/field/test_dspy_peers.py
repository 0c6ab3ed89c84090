from __future__ import annotations

from pathlib import Path

from experiments.field.dspy_peers import ANSWER_TOKENS, answer_tokens
from experiments.field.tasks import make_task
from optimizer.task.load import load_task


def test_in_our_format_an_answer_may_be_as_long_as_ours(data: Path, tmp_path: Path) -> None:
    task = load_task(make_task("banking10", data, 0, (20, 10, 10), tmp_path / "task"))
    longest = max(len(label) for example in task.train for label in example.outputs.values())
    assert longest / 2 < answer_tokens(task, "turns") < ANSWER_TOKENS
    assert answer_tokens(task, "shipped") == ANSWER_TOKENS
