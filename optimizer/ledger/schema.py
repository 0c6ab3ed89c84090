"""The ledger's tables. Everything else that a run shows can be rebuilt from them."""

from __future__ import annotations

VERSION = 1

TABLES = """
CREATE TABLE IF NOT EXISTS meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL                -- JSON
);
CREATE TABLE IF NOT EXISTS calls (
    id            INTEGER PRIMARY KEY,
    key           TEXT NOT NULL,       -- what makes two calls the same call
    role          TEXT NOT NULL,       -- task, prompt, judge
    phase         TEXT NOT NULL,       -- search, test
    trial         INTEGER,
    request       TEXT NOT NULL,       -- JSON
    state         TEXT NOT NULL,       -- intent, done, failed
    response      TEXT,                -- JSON
    failure       TEXT,                -- JSON: kind, message
    attempts      INTEGER NOT NULL DEFAULT 0,
    input_tokens  INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    usd           REAL NOT NULL DEFAULT 0,
    hits          INTEGER NOT NULL DEFAULT 0,   -- times it was answered from here
    started       REAL NOT NULL,
    ended         REAL
);
CREATE UNIQUE INDEX IF NOT EXISTS calls_done ON calls (key) WHERE state = 'done';
CREATE TABLE IF NOT EXISTS trials (
    number     INTEGER PRIMARY KEY,
    candidate  TEXT NOT NULL,
    origin     TEXT NOT NULL,
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
CREATE TABLE IF NOT EXISTS scores (
    candidate  TEXT NOT NULL,
    split      TEXT NOT NULL,
    position   INTEGER NOT NULL,       -- place in the split's seeded order
    example    TEXT NOT NULL,
    metric     TEXT NOT NULL,          -- name and version
    value      REAL,                   -- null where the call failed
    answer     TEXT NOT NULL,          -- JSON
    feedback   TEXT NOT NULL,
    failure    TEXT,                   -- the kind, where there is no value
    tokens     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (candidate, split, position, metric)
);
"""
