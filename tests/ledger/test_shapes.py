"""A ledger is a file, and anybody can seal its rows: what no metier wrote is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from report.made import make_run

from optimizer.errors import LedgerError
from optimizer.ledger.calls import failed_calls
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader, connect
from optimizer.ledger.result import result_of
from optimizer.ledger.trials import all_trials
from optimizer.report.status import read_status


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run") / "ledger.db"


def changed(path: Path, table: str, column: str, value: Any, where: str = "TRUE") -> None:
    """Write a value as somebody else would: the triggers seal it."""
    with closing(connect(path.resolve().as_uri())) as connection:
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value,))


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("trials", "score", "good"),
        ("trials", "score", float("inf")),
        ("trials", "seen", 2**60),
        ("calls", "usd", "much"),
        ("calls", "started", -1e300),
        ("scores", "tokens", b"7"),
    ],
)
def test_a_column_holds_what_it_is_declared_for(run: Path, table: str, column: str, value: Any) -> None:
    changed(run, table, column, value)
    with closing(Reader(run)) as ledger, pytest.raises(LedgerError, match=f"in {table} holds a value of another type"):
        read_status(ledger)
    with pytest.raises(LedgerError, match="not a usable ledger"):
        Ledger(run)


@pytest.mark.parametrize(
    ("read", "table", "column", "value"),
    [
        (all_trials, "trials", "prompts", {"predict": {"instruction": 7, "demos": []}}),
        (all_trials, "trials", "prompts", {"predict": {"instruction": "a", "demos": [], "count": -1}}),
        (all_trials, "trials", "prompts", {"predict": {"instruction": "a", "demos": [], "policy": "odd"}}),
        (all_trials, "trials", "prompts", {"predict": {"instruction": "a", "demos": [{"inputs": 1, "outputs": {}}]}}),
        (all_trials, "trials", "parents", "seed"),
        (all_trials, "trials", "params", ["a"]),
        (lambda ledger: failed_calls(ledger, 9), "calls", "failure", {"kind": 1, "message": "a"}),
        (lambda ledger: failed_calls(ledger, 9), "calls", "request", {"messages": ["a"]}),
    ],
)
def test_json_holds_what_is_written_there(
    run: Path, read: Callable[[Reader], object], table: str, column: str, value: Any
) -> None:
    changed(run, table, column, json.dumps(value))
    with closing(Reader(run)) as ledger, pytest.raises(LedgerError, match="cannot be read"):
        read(ledger)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("winner", "test_score"), "high"),
        (("difference", "ci95"), [0.1]),
        (("usage", "usd"), float("nan")),
        (("notes",), None),
        (("baselines",), [{}]),
        (("verdict",), {}),
    ],
)
def test_a_result_has_its_shape(run: Path, path: tuple[str, ...], value: Any) -> None:
    with closing(Reader(run)) as ledger:
        assert result_of(ledger) is not None
        data = ledger.meta("result")
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    changed(run, "meta", "value", json.dumps(data), "key = 'result'")
    with closing(Reader(run)) as ledger, pytest.raises(LedgerError, match=f"'result' in meta.*{path[0]}"):
        result_of(ledger)


def test_a_value_without_end_is_refused(run: Path) -> None:
    changed(run, "meta", "value", "[" * 50_000, "key = 'identity'")
    with closing(Reader(run)) as ledger, pytest.raises(LedgerError, match="nested too deeply"):
        ledger.meta("identity")


def test_a_result_without_its_seed_is_refused(run: Path) -> None:
    with closing(connect(run.resolve().as_uri())) as connection:
        connection.execute("DELETE FROM trials")
    with closing(Reader(run)) as ledger, pytest.raises(LedgerError, match="cannot be read"):
        result_of(ledger)


@pytest.mark.parametrize(
    ("key", "value"), [("answer_limit", 0.5), ("shown", {"predict": [[1, 2]]}), ("clock", {"starts": ["a"]})]
)
def test_other_facts_have_their_shapes(run: Path, key: str, value: Any) -> None:
    with closing(Ledger(run)) as ledger:
        ledger.put_meta(key, value)
    with closing(Reader(run)) as ledger, pytest.raises(LedgerError, match=f"'{key}' in meta cannot be read"):
        ledger.meta(key)
