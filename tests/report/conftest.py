from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optimizer.report.result import Report, Side
from optimizer.types import Candidate, Example, Prompt

DEMOS = (Example({"q": "one"}, {"a": "x"}), Example({"q": "two"}, {"a": "y"}))
SEED = Candidate({"predict": Prompt("Do it.\nNow.")}, "seed")
WINNER = Candidate({"predict": Prompt("Do it.\nSlowly.", "block", "static", 2, "given", DEMOS)}, "templates")
USAGE = {
    "calls": {"task": 30, "prompt": 4, "judge": 0},
    "cached_calls": 5,
    "input_tokens": 1200,
    "cached_input_tokens": 0,
    "output_tokens": 34,
    "usd": 0.5,
}


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., Report]:
    def make(**changes: Any) -> Report:
        given: dict[str, Any] = {
            "run_id": "abcd",
            "task": "tiny",
            "run_dir": tmp_path,
            "verdict": "improved",
            "seed": Side(SEED, 0.5, (0.4, 0.6), 10.4),
            "winner": Side(WINNER, 0.75, (0.65, 0.85), 99.6),
            "validation_score": 0.8,
            "difference": 0.25,
            "difference_ci95": (0.125, 0.375),
            "test_examples": 40,
            "usage": USAGE,
            "test_usage": {**USAGE, "calls": {"task": 80, "prompt": 0, "judge": 0}},
            "trials": {"complete": 2, "raced_out": 3, "failed": 1},
            "seconds": 61.4,
            "mlflow": None,
        }
        return Report(**{**given, **changes})

    return make
