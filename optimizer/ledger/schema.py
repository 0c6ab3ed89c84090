"""The ledger's tables. Everything else that a run shows can be rebuilt from them."""

from __future__ import annotations

import re

VERSION = 10
BIRTH = f"INSERT INTO meta (key, value) VALUES ('version', '{VERSION}');"  # noqa: S608

TABLES = """
CREATE TABLE meta (
    id    INTEGER PRIMARY KEY,         -- each table has a whole number as its key: the history names rows by it
    key   TEXT NOT NULL UNIQUE,
    value TEXT NOT NULL                -- JSON
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
    batch         INTEGER              -- the batch in which it is asked, 0 before it is; null for a call of its own
);
CREATE INDEX calls_batch ON calls (batch) WHERE batch IS NOT NULL;
CREATE TABLE batches (
    id        INTEGER PRIMARY KEY,
    label     TEXT NOT NULL UNIQUE,    -- our own name of it, which the provider is sent along
    endpoint  TEXT NOT NULL,           -- the identity of the endpoint
    state     TEXT NOT NULL,           -- intent, out, ended, refused
    provider  TEXT,                    -- the provider's name of it, once it is known
    requests  INTEGER NOT NULL,
    answered  INTEGER NOT NULL DEFAULT 0,   -- so many, when it was last looked at
    started   REAL NOT NULL,
    ended     REAL
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
    ended      REAL
);
CREATE TABLE scores (
    id         INTEGER PRIMARY KEY,
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
    parts      TEXT NOT NULL DEFAULT '{}',   -- JSON, the scores that the value is made of, by name
    pair       TEXT,                         -- JSON, the label that was right and the one that was answered
    UNIQUE (candidate, split, position, metric)
);
CREATE TABLE decisions (
    id    INTEGER PRIMARY KEY,
    what  TEXT NOT NULL,               -- accept changes, promote, …
    value TEXT NOT NULL,               -- JSON
    time  REAL NOT NULL,
    user  TEXT NOT NULL
);
CREATE TABLE history (                 -- an entry for each change of a row, written by the triggers, never changed
    id     INTEGER PRIMARY KEY,        -- 1, 2, 3 …
    source TEXT NOT NULL,              -- the table
    row    INTEGER NOT NULL,           -- its row
    link   BLOB NOT NULL,              -- see history.py
    seal   BLOB GENERATED ALWAYS AS (substr(link, 1, 32)) VIRTUAL,
    hash   BLOB GENERATED ALWAYS AS (substr(link, 33)) VIRTUAL
);
CREATE INDEX history_rows ON history (source, row);
"""

# What SQLite is told that each column holds, by table.
KINDS = {
    table: dict(re.findall(r"^    (\w+) +(TEXT|INTEGER|REAL)\b", columns, re.M))
    for table, columns in re.findall(r"CREATE TABLE (\w+) \((.*?)^\);", TABLES, re.M | re.S)
    if table != "history"
}

# What a row's seal is made of, its key first. `hits` and `answered` are left out: they change often, and a wrong one
# costs nobody anything.
SEALED = {
    "meta": ("id", "key", "value"),
    "decisions": ("id", "what", "value", "time", "user"),
    "calls": (
        *("id", "key", "role", "phase", "trial", "example", "request", "state", "response", "failure"),
        *("attempts", "input_tokens", "cached_tokens", "output_tokens", "answer_tokens", "usd"),
        *("started", "ended", "batch"),
    ),
    "batches": ("id", "label", "endpoint", "state", "provider", "requests", "started", "ended"),
    "trials": (
        *("number", "candidate", "origin", "parents", "prompts", "params", "state", "reason", "value", "score"),
        *("low", "high", "seen", "failures", "started", "ended"),
    ),
    "scores": (
        *("id", "candidate", "split", "position", "example", "metric", "value", "answer", "feedback", "failure"),
        *("tokens", "calls", "cut", "parts", "pair"),
    ),
}


# A row is read again, as it is stored: a trigger's NEW may hold a number in another form. What did not change makes no
# entry: a resumed run writes much that is there already. `link` is a function of ours.
_TRIGGERS = """
CREATE TRIGGER {table}_insert AFTER INSERT ON {table} BEGIN {write} END;
CREATE TRIGGER {table}_update AFTER UPDATE OF {columns} ON {table} WHEN {changed} BEGIN {write} END;
CREATE TRIGGER {table}_delete AFTER DELETE ON {table} BEGIN
    INSERT INTO history (source, row, link)
    VALUES ('{table}', OLD.{key}, link((SELECT link FROM history ORDER BY id DESC LIMIT 1), '{table}', OLD.{key}));
END;
"""
_WRITE = """
    INSERT INTO history (source, row, link)
    SELECT '{table}', {key}, link((SELECT link FROM history ORDER BY id DESC LIMIT 1), '{table}', {columns})
    FROM {table} WHERE {key} = NEW.{key};
"""


def _triggers() -> str:
    """Return the triggers that add an entry to the history for each row that is written, changed or deleted."""
    made = []
    for table, names in SEALED.items():
        parts = {"table": table, "key": names[0], "columns": ", ".join(names)}
        changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in names)
        made.append(_TRIGGERS.format(**parts, changed=changed, write=_WRITE.format(**parts)))
    return "".join(made)


SCHEMA = TABLES + _triggers()
