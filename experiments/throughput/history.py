"""What the ledger's history costs of the processor: a call's rows written with its triggers, and without any."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing

from optimizer.ledger.history import link
from optimizer.ledger.schema import SCHEMA, TABLES

CALLS, ROUNDS = 4000, 7
REQUEST = json.dumps({"system": "Classify the message. " * 20, "messages": [{"text": "where is it " * 60}]})
RESPONSE = json.dumps({"message": {"role": "assistant", "parts": [{"text": "delivery"}]}, "model": "m"})
BEGIN = (
    "INSERT INTO calls (key, role, phase, trial, example, request, state, started)"
    " VALUES (?, 'task', 'search', 1, 'e', ?, 'intent', 1.5)"
)
FINISH = "UPDATE calls SET state = 'done', response = ?, attempts = 1, ended = 2.5 WHERE id = ?"
SCORE = (
    "INSERT INTO scores (candidate, split, position, example, metric, value, answer, feedback)"
    " VALUES ('c', 'validation', ?, 'e', 'choice@1', 1, '{}', 'right')"
)


def microseconds(schema: str) -> float:
    """Return the processor time that the three writes of a call take in memory, where no disk is waited for."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.create_function("link", -1, link, deterministic=True)
        connection.executescript(schema)
        connection.execute("BEGIN")
        began = time.process_time()
        for number in range(CALLS):
            connection.execute(BEGIN, (str(number), REQUEST))
            connection.execute(FINISH, (RESPONSE, number + 1))
            connection.execute(SCORE, (number,))
        return (time.process_time() - began) / CALLS * 1e6


def main() -> None:
    """Print the least of some rounds, in turns: what else the machine does only adds to it."""
    rounds = [(microseconds(TABLES), microseconds(SCHEMA)) for _ in range(ROUNDS)]
    bare, whole = (min(times) for times in zip(*rounds, strict=True))
    print(f"a call's three writes: {bare:.0f} µs without the history, {whole:.0f} µs with it")


if __name__ == "__main__":
    main()
