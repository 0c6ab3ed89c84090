"""Text of others made safe to look at: no control or bidirectional character acts, no line is endless."""

from __future__ import annotations

import re

# C0 and C1 controls but tab and line feed, marks that reorder text, line separators, halves of surrogate pairs.
_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
CELL, PAGE = 300, 20_000


def visible(text: object, width: int = PAGE) -> str:
    r"""Return text in which acting characters are spelled out (\u202e); beyond `width` characters it is cut."""
    whole = str(text).replace("\r\n", "\n")
    shown = _ACTING.sub(lambda found: f"\\u{ord(found.group()):04x}", whole[:width])
    return shown if len(whole) <= width else f"{shown}… ({len(whole):,} characters)"


def cell(text: object, width: int = CELL) -> str:
    """Return text as one short line."""
    return " ".join(visible(text, width).split())
