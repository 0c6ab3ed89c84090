"""How a prompt is laid out in messages: DSPy adapters by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dspy


def adapter(name: str) -> dspy.Adapter:
    """Return an adapter: turns, block, DSPy's chat, json and xml, or `own`, the one that DSPy is configured with.

    DSPy's chat adapter asks a second time, in JSON, when it cannot read an answer; that
    fallback is off, because it doubles the cost of exactly the weakest candidates.
    """
    import dspy

    from optimizer.prompt.formats.plain import BlockAdapter, TurnsAdapter

    makers: dict[str, Any] = {
        "turns": TurnsAdapter,
        "block": BlockAdapter,
        "chat": lambda: dspy.ChatAdapter(use_json_adapter_fallback=False),
        "json": dspy.JSONAdapter,
        "xml": lambda: dspy.XMLAdapter(use_json_adapter_fallback=False),
        "own": lambda: dspy.settings.adapter or dspy.ChatAdapter(),
    }
    made: dspy.Adapter = makers[name]()
    return made


def lenient(name: str) -> dspy.Adapter:
    """Return the adapter of a format whose answer begins with the value; it takes an unreadable value for None."""
    from optimizer.prompt.formats.plain import BlockAdapter, TurnsAdapter

    return {"turns": TurnsAdapter, "block": BlockAdapter}[name](lenient=True)
