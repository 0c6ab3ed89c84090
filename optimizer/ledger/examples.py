"""The examples that a run is scored on: a report must need the ledger alone."""

from __future__ import annotations

import json
from collections.abc import Iterable

from optimizer.ledger.encode import json_text
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.types import Example


def put_examples(ledger: Ledger, examples: Iterable[Example]) -> None:
    """Write down what is asked and expected, by the example's id."""
    ledger.put_meta("examples", json.loads(json_text({example.id: example.to_json() for example in examples})))


def known_examples(ledger: Reader) -> dict[str, Example]:
    """Return the examples that are written down, by id."""
    known = ledger.meta("examples") or {}
    return {name: Example.from_json(data) for name, data in known.items()}
