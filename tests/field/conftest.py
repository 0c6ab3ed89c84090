from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.field.tasks import TASKS

LABELS = TASKS["banking10"]["outputs"]["intent"]["choices"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The banking10 of a data folder: 360 examples to draw from in each file, labels in shares of 1 to 3."""
    folder = tmp_path / "data" / "banking10"
    folder.mkdir(parents=True)
    shares = [label for place, label in enumerate(LABELS) for _ in range(1 + place % 3)]
    for part in ("train", "test"):
        rows = [{"input": f"{part} message {i}", "output": shares[i % len(shares)]} for i in range(360)]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder.parent
