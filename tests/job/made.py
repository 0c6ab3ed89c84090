"""A small run through the front door: its examples, its model, and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from support.jobs import LABELS, rows

FRAME = pd.DataFrame(rows())
SEARCH = {
    "trials": 4,
    "formats": ["turns", "block"],
    "demos": {"policies": ["static", "nearest"], "counts": [0, 2], "sets": 2},
    "round": 3,
    "block": 4,
    "instructions": 3,
}


def asked(folder: Path, **changes: Any) -> dict[str, Any]:
    """Return what `optimize` is called with, but for the model."""
    return {
        "examples": FRAME,
        "inputs": ["text"],
        "outputs": {"kind": list(LABELS)},
        "instruction": "Sort it.",
        "metric": "choice",
        "budget": 60,
        "search": SEARCH,
        "test": {"baselines": 0},
        "tracking": {"mlflow": None},
        "run_dir": str(folder / "run"),
        "seed": 1,
        "progress": False,
        **changes,
    }
