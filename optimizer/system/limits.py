"""Limits on what comes from outside: how deeply a value may be nested, and how much of one a message shows."""

from __future__ import annotations

from collections.abc import Iterable

DEEPEST = 100
TOO_DEEP = f"nested more than {DEEPEST} deep"


def check_depth(value: object) -> None:
    """Raise ValueError for a value nested so deeply that Python's recursion would fail on it later."""
    layer = [value]
    for _ in range(DEEPEST):
        items = (item for one in layer for item in _items(one) if isinstance(item, (dict, list)))
        layer = list({id(item): item for item in items}.values())  # what is shared is looked at once
        if not layer:
            return
    raise ValueError(TOO_DEEP)


def shorten(value: object, width: int = 80) -> str:
    """Return a value's repr, cut to `width` characters."""
    try:
        text = repr(value[: width + 1] if isinstance(value, (str, bytes)) else value)
    except (RecursionError, ValueError):  # Python prints no whole number of more than 4,300 digits
        text = f"a value of type {type(value).__name__} that cannot be shown"
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _items(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
