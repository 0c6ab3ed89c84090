"""A small migration as data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from optimizer.evaluate.noninferiority import Verdict
from optimizer.report.migration import Cost, Gain, Measured, Migration, ModelOutcome

TODAY = Measured("today", "c0", "turns, no demos", 0.9, (0.85, 0.94), 200, 0, 0, Cost(1.5, 0.4, 1.25))


def measured(name: str, gain: float, **changes: Any) -> Measured:
    """Return a prompt on the new model, with three calls an answer whose price and time nobody knows."""
    paired, cost = Gain(gain, (gain - 0.03, gain + 0.03), 200), Cost(None, None, None, 3.0)
    return replace(TODAY, **{"name": name, "gain": paired, "cost": cost, **changes})


def outcome(
    verdict: Verdict = "moves as it is", enough: int | None = None, use: str | None = "out/x/best.json"
) -> ModelOutcome:
    """Return what was found of a model."""
    both = [measured("as it is", 0.0), measured("tuned", 0.01)]
    return ModelOutcome("openai/x", verdict, both, enough, "out/x/run", use, ["a note"])


def migration(*models: ModelOutcome) -> Migration:
    """Return a migration to these models, or to one that it moves to."""
    return Migration("sorting", "best.json", "openai/old", 0.02, 0.02, 200, TODAY, "", models or (outcome(),), "out")
