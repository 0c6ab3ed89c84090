"""What the live view is drawn of: a line of blocks for a curve, a bar for a share."""

from __future__ import annotations

from collections.abc import Sequence

STEPS = "▁▂▃▄▅▆▇█"
FULL, EMPTY = "█", "░"


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """Return a curve as blocks, from its lowest to its highest value; a long one keeps the last of each stretch."""
    if not values:
        return ""
    if len(values) > width:
        values = [values[(column + 1) * len(values) // width - 1] for column in range(width)]
    low, high = min(values), max(values)
    if high == low:
        return STEPS[0] * len(values)
    return "".join(STEPS[round((value - low) / (high - low) * (len(STEPS) - 1))] for value in values)


def bar(share: float, width: int = 20) -> str:
    """Return a share of 1 as a bar; nothing but a whole share fills it."""
    filled = min(width, int(max(0.0, share) * width + 1e-9))
    return FULL * filled + EMPTY * (width - filled)
