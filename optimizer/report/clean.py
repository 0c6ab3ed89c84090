"""Foreign text made safe to look at: no control or bidirectional character acts, no line is endless."""

from __future__ import annotations

from optimizer.errors import spelled_out

CELL, PAGE = 300, 20_000


def visible(text: object, width: int = PAGE) -> str:
    r"""Return text in which acting characters are spelled out (\u202e); beyond `width` characters it is cut."""
    whole = str(text).replace("\r\n", "\n")
    shown = spelled_out(whole[:width])
    return shown if len(whole) <= width else f"{shown}… ({len(whole):,} characters)"


def cell(text: object, width: int = CELL) -> str:
    """Return text as one short line."""
    return " ".join(visible(text, width).split())
