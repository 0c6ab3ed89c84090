"""Lines of results, made up."""

from __future__ import annotations

from typing import Any

from experiments.field.methods import SMALL

TASK = ("sst2",)


def line(method: str, right: int, seed: int = 0, variant: str = "shipped", **more: Any) -> dict[str, Any]:
    """A cell of sst2 with 10 test examples of which the first `right` are right."""
    scores = [1.0] * right + [0.0] * (10 - right)
    return {
        "task": "sst2",
        "method": method,
        "variant": variant,
        "model": SMALL,
        "budget": 200,
        "seed": seed,
        "n": 10,
        "setting": "usual",
        "score": right / 10,
        "scores": scores,
        "error": None,
        "calls": {"task": 150, "prompt": 30},
        "spent": {"search": {"task": {"refused": 5}, "prompt": {"refused": 2}}},
        "seconds": {"search": 60.0, "test": 30.0},
        "where": "",
        **more,
    }


def failed(method: str, seed: int = 0) -> dict[str, Any]:
    return line(method, 0, seed, score=None, scores=None, error="ValueError: no", where="dspy/x.py:1 f")


def row_of(text: str, name: str) -> list[str]:
    """The cells of the one row of a table in Markdown that begins with the name."""
    (found,) = [row for row in text.splitlines() if row.startswith(f"| {name} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]
