from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

LABELS = ("bill", "card", "loan")
WriteTask = Callable[..., Path]


def records(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"message": f"message {n}", "intent": LABELS[n % 3]} for n in range(start, start + count)]


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def write_task(tmp_path: Path) -> WriteTask:
    """Write a small valid task with the given keys changed (None removes one) and files added."""

    def write(files: dict[str, str | bytes] | None = None, **changes: Any) -> Path:
        task = {
            "name": "tiny",
            "inputs": {"message": {"desc": "what was written"}},
            "outputs": {"intent": {"choices": list(LABELS)}},
            "instruction": "Classify the message.",
            "data": {"path": "examples.jsonl"},
            "metric": "exact_match",
        } | changes
        task = {key: value for key, value in task.items() if value is not None}
        (tmp_path / "task.yaml").write_text(yaml.safe_dump(task, sort_keys=False))
        for name, content in ({"examples.jsonl": lines(records(20))} | (files or {})).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return write
