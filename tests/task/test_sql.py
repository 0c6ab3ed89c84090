from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from optimizer.errors import TaskError
from optimizer.system.redact import scrub
from optimizer.task.load import load_task
from optimizer.task.rows import Reading, Row
from optimizer.task.schema import SqlSpec
from optimizer.task.sources import sources_of
from optimizer.task.sql import address_of, described, read_sql

from .conftest import LABELS, WriteTask

URL = "sqlite:///tickets.db"
QUERY = "SELECT id, message, intent FROM tickets ORDER BY id"
PASSWORD = "hunter2-and-more"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "tickets.db")) as database:
        database.execute("CREATE TABLE tickets (id INTEGER, message TEXT, intent TEXT)")
        rows = [(n, f"100% of message {n}: :ok", LABELS[n % 3]) for n in range(30)]
        database.executemany("INSERT INTO tickets VALUES (?, ?, ?)", rows)
        database.commit()
    return tmp_path


def read(folder: Path, url: str = URL, query: str = QUERY, **settings: Any) -> list[Row]:
    return read_sql(SqlSpec(url=url, query=query), folder, Reading(**settings))


def test_the_rows_of_a_query(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = read(folder)
    assert rows[1] == Row({"id": 1, "message": "100% of message 1: :ok", "intent": "card"}, "sql row 2")
    assert len(rows) == 30
    monkeypatch.setenv("TICKETS", URL)
    assert read(folder, "TICKETS") == rows
    like = "-- all\n/* of them */ WITH t AS (SELECT * FROM tickets) SELECT message FROM t WHERE message LIKE '100%:ok'"
    assert len(read(folder, query=like)) == 30
    assert len(read(folder, sample=7)) == 7
    assert read(folder, f"sqlite:///{folder}/tickets.db") == rows


def test_a_task_of_a_database(folder: Path, write_task: WriteTask) -> None:
    task = load_task(write_task(data={"sql": {"url": URL, "query": QUERY}}))
    assert (len(task.train), len(task.validation), len(task.test)) == (12, 9, 9)
    sources = sources_of(task)
    assert [(one["file"], one["use"]) for one in sources["files"]] == [("task.yaml", "task"), ("tickets.db", "data")]
    assert sources["database"] == f"sqlite tickets.db: {QUERY}"


def test_it_only_reads(folder: Path, write_task: WriteTask) -> None:
    before = (folder / "tickets.db").read_bytes()
    for query in ("DELETE FROM tickets", "", "  -- select\nDROP TABLE tickets", "selected", "PRAGMA x"):
        with pytest.raises(TaskError, match="query must begin with SELECT or WITH"):
            load_task(write_task(data={"sql": {"url": URL, "query": query}}))
    for query in ("WITH x AS (SELECT 1) DELETE FROM tickets", "WITH x AS (SELECT 1) INSERT INTO tickets SELECT 1,2,3"):
        with pytest.raises(TaskError, match=r"cannot be read \(attempt to write a readonly database\)"):
            read(folder, query=query)
    assert (folder / "tickets.db").read_bytes() == before


@pytest.mark.parametrize(
    ("url", "query", "message"),
    [
        ("sqlite:///ticket.db", QUERY, r"sql: ticket.db: no such file\n.*did you mean 'tickets.db'"),
        ("sqlite://", QUERY, "names no file"),
        ("NO_SUCH_VARIABLE", QUERY, "the environment variable NO_SUCH_VARIABLE is not set"),
        ("nonsense://x", QUERY, "sql: nonsense x/ cannot be read|nonsense"),
        ("://", QUERY, "data.sql.url is no address of a database"),
        (URL, "SELECT * FROM ticket", "sql: sqlite tickets.db cannot be read .no such table: ticket"),
        (URL, "SELECT 1 WHERE 0", "sql: has no examples"),
        (URL, "SELECT 1; SELECT 2", "cannot be read"),
        (URL, "SELECT (", "cannot be read"),
    ],
)
def test_what_is_refused(folder: Path, url: str, query: str, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        read(folder, url, query)


SECRET = (
    f"postgresql://ann:{PASSWORD}@127.0.0.1:1/shop",
    f"postgresql+psycopg://ann:{PASSWORD}@127.0.0.1:1/shop?sslpassword={PASSWORD}",
    f"mysql+pymysql://ann:{PASSWORD}@[bad/shop",
    f"nonsense://ann:{PASSWORD}@host/x?password={PASSWORD}",
    f"mssql+pyodbc://?odbc_connect=DRIVER=x;UID=ann;PWD={PASSWORD}",
    f"postgresql://ann:{PASSWORD}@host:port/shop",
)


@pytest.mark.parametrize("url", SECRET)
@pytest.mark.parametrize("query", [QUERY, "DROP TABLE x", None, 5])
@pytest.mark.parametrize("named", [False, True])
def test_no_message_has_the_password(
    url: str, query: object, named: bool, write_task: WriteTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP", url)
    forms: list[Any] = [{"url": "SHOP" if named else url, "query": query}]
    if not named:
        forms += [url, [url], {"url": [url], "query": query}, {"uri": url, "query": query}, {"url": {url: url}}]
    for form in forms:
        with pytest.raises(TaskError) as caught:
            load_task(write_task(data={"sql": form}))
        assert PASSWORD not in str(caught.value)
        assert PASSWORD not in repr(caught.value)


def test_the_password_is_masked_in_what_is_written(folder: Path) -> None:
    address_of(SqlSpec(url=f"mysql://ann:{PASSWORD}@host/x?sslmode=required&token=abcdef-123", query=QUERY), folder)
    assert scrub(f"{PASSWORD} abcdef-123 is required") == "*** *** is required"


def test_an_address_is_described_without_secrets() -> None:
    url = make_url(f"postgresql://ann:{PASSWORD}@db.example/shop?password={PASSWORD}")
    assert described(url) == "postgresql db.example/shop"


def test_a_column_that_is_there_twice(folder: Path) -> None:
    reading = Reading()
    read_sql(SqlSpec(url=URL, query="SELECT id, id FROM tickets"), folder, reading)
    with pytest.raises(TaskError, match="the query gives the column 'id' twice"):
        reading.problems.refuse()
