"""How a prompt is laid out in messages: DSPy adapters by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dspy

# The formats without markers: an answer begins with the value, and a demo is shown only if it has all of the inputs.
PLAIN = frozenset({"turns", "fields", "block"})


def adapter(name: str) -> dspy.Adapter:
    """Return an adapter: turns, fields, block, DSPy's chat, json and xml, or `own`, what DSPy is configured with.

    DSPy's chat adapter asks a second time, in JSON, when it cannot read an answer; that
    fallback is off, because it doubles the cost of exactly the weakest candidates.
    """
    import dspy

    from optimizer.prompt.formats.plain import BlockAdapter, FieldsAdapter, TurnsAdapter

    makers: dict[str, Any] = {
        "turns": TurnsAdapter,
        "fields": FieldsAdapter,
        "block": BlockAdapter,
        "chat": lambda: dspy.ChatAdapter(use_json_adapter_fallback=False),
        "json": dspy.JSONAdapter,
        "xml": lambda: dspy.XMLAdapter(use_json_adapter_fallback=False),
        "own": lambda: dspy.settings.adapter or dspy.ChatAdapter(),
    }
    made: dspy.Adapter = makers[name]()
    return made


def lenient(name: str) -> dspy.Adapter:
    """Return the adapter of one of the `PLAIN` formats; it takes an unreadable value for None."""
    from optimizer.prompt.formats.plain import BlockAdapter, FieldsAdapter, TurnsAdapter

    return {"turns": TurnsAdapter, "fields": FieldsAdapter, "block": BlockAdapter}[name](lenient=True)
