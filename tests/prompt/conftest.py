from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimizer.task.metrics.build import build_metric
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task
from optimizer.types import Example

LABELS = ("bill", "card", "loan")


def embed(texts: Any) -> Any:
    """Place texts on the unit circle by the number that they start with, in degrees."""
    angles = np.deg2rad([float(text.split()[0]) for text in texts])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def example(degrees: float, label: str = "bill") -> Example:
    return Example({"message": f"{degrees} degrees"}, {"intent": label})


def make_task(folder: Path, **changes: Any) -> Task:
    outputs = {"intent": FieldSpec(choices=LABELS)}
    train = tuple(example(n, LABELS[n % 3]) for n in range(0, 60, 10))
    given: dict[str, Any] = {
        "name": "tiny",
        "description": "",
        "instruction": "Classify.",
        "inputs": {"message": FieldSpec()},
        "outputs": outputs,
        "train": train,
        "validation": (),
        "test": (),
        "metric": build_metric("exact_match", changes.get("outputs", outputs), folder),
        "folder": folder,
    }
    return Task.from_parts(**{**given, **changes})


@pytest.fixture
def task_with(tmp_path: Path) -> Callable[..., Task]:
    return lambda **changes: make_task(tmp_path, **changes)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return make_task(tmp_path)
