"""How values become the text that the ledger's tables hold."""

from __future__ import annotations

import json

from optimizer.system.redact import scrub_secrets


def json_text(value: object) -> str:
    """Return a value as JSON without secrets."""
    return storable(json.dumps(value, ensure_ascii=False, default=str))


def storable(text: str) -> str:
    """Return text without secrets, and without what SQLite refuses: an answer may end inside a surrogate pair."""
    return scrub_secrets(text.encode("utf-8", "replace").decode())
