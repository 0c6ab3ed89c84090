"""The ledger's tables. Everything else that a run shows can be rebuilt from them."""

from __future__ import annotations

VERSION = 7
BIRTH = f"INSERT INTO meta (key, value) VALUES ('version', '{VERSION}');"  # noqa: S608

TABLES = """
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL,               -- JSON
    seal  INTEGER NOT NULL DEFAULT 0   -- a checksum of the row, kept by a trigger, in every table
);
CREATE TABLE calls (
    id            INTEGER PRIMARY KEY,
    key           TEXT NOT NULL,       -- what makes two calls the same call
    role          TEXT NOT NULL,       -- task, prompt, judge
    phase         TEXT NOT NULL,       -- search, test
    trial         INTEGER,
    example       TEXT,                -- the id of the example that it helped to answer
    request       TEXT NOT NULL,       -- JSON
    state         TEXT NOT NULL,       -- intent, done, failed, lost: in flight when its process died
    response      TEXT,                -- JSON
    failure       TEXT,                -- JSON: kind, message
    attempts      INTEGER NOT NULL DEFAULT 0,
    input_tokens  INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    answer_tokens INTEGER NOT NULL DEFAULT 0,   -- input and output of the answer, without what was lost before it
    usd           REAL NOT NULL DEFAULT 0,
    hits          INTEGER NOT NULL DEFAULT 0,   -- times it was answered from here; see `begin_attempt`
    started       REAL NOT NULL,
    ended         REAL,
    seal          INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX calls_done ON calls (key) WHERE state = 'done';
CREATE INDEX calls_trial ON calls (trial);
CREATE TABLE trials (
    number     INTEGER PRIMARY KEY,
    candidate  TEXT NOT NULL,
    origin     TEXT NOT NULL,          -- who proposed it
    parents    TEXT NOT NULL,          -- JSON, the ids of the candidates that it was made from
    prompts    TEXT NOT NULL,          -- JSON, by predictor
    params     TEXT NOT NULL,          -- JSON, every dimension of the search
    state      TEXT NOT NULL,          -- running, complete, raced_out, failed
    reason     TEXT NOT NULL DEFAULT '',
    value      REAL,                   -- what the sampler was told
    score      REAL,                   -- mean over the examples seen
    low        REAL,
    high       REAL,
    seen       INTEGER NOT NULL DEFAULT 0,
    failures   INTEGER NOT NULL DEFAULT 0,
    started    REAL NOT NULL,
    ended      REAL,
    seal       INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE scores (
    candidate  TEXT NOT NULL,
    split      TEXT NOT NULL,
    position   INTEGER NOT NULL,       -- place in the split's seeded order
    example    TEXT NOT NULL,
    metric     TEXT NOT NULL,          -- name and version
    value      REAL,                   -- null where the call failed through no fault of the prompt's
    answer     TEXT NOT NULL,          -- JSON
    feedback   TEXT NOT NULL,
    failure    TEXT,                   -- the kind, where the call failed
    tokens     INTEGER NOT NULL DEFAULT 0,   -- of the calls that led to the answer, whoever paid for them
    calls      INTEGER NOT NULL DEFAULT 0,
    cut        INTEGER NOT NULL DEFAULT 0,   -- 1 where one of them ended at its limit of tokens
    seal       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (candidate, split, position, metric)
);
"""

# What a row's seal is made of. `hits` is left out: it changes often, and a wrong one costs nobody anything.
SEALED = {
    "meta": ("key", "value"),
    "calls": (
        *("id", "key", "role", "phase", "trial", "example", "request", "state", "response", "failure"),
        *("attempts", "input_tokens", "cached_tokens", "output_tokens", "answer_tokens", "usd"),
        *("started", "ended"),
    ),
    "trials": (
        *("number", "candidate", "origin", "parents", "prompts", "params", "state", "reason", "value", "score"),
        *("low", "high", "seen", "failures", "started", "ended"),
    ),
    "scores": (
        *("candidate", "split", "position", "example", "metric", "value", "answer", "feedback", "failure"),
        *("tokens", "calls", "cut"),
    ),
}


_TRIGGER = """
CREATE TRIGGER {table}_{name} AFTER {event} ON {table} BEGIN
    UPDATE {table} SET seal = seal({columns}) WHERE rowid = NEW.rowid;
END;
"""


def _triggers() -> str:
    """Return the triggers that seal each row as it is written; `seal` is a function of ours."""
    made = []
    for table, names in SEALED.items():
        columns = ", ".join(names)
        for name, event in (("insert", "INSERT"), ("update", f"UPDATE OF {columns}")):
            made.append(_TRIGGER.format(table=table, name=name, event=event, columns=columns))
    return "".join(made)


SCHEMA = TABLES + _triggers()
