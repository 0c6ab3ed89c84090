"""Reader of a database: the rows of one query, by SQLAlchemy, which metier's trackers bring along; it only reads."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from optimizer.errors import TaskError
from optimizer.system.files import is_file
from optimizer.system.redact import HIDDEN, hide
from optimizer.task.rows import Reading, Records, Row, keep, plain_cell
from optimizer.task.schema import SqlSpec
from optimizer.task.text import no_such_file

if TYPE_CHECKING:
    from sqlalchemy import URL

LABEL = "sql"
BATCH = 1000  # rows that a server is asked for at once
_READ_ONLY = {
    "postgresql": "SET TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}
_SECRET = re.compile("key|token|secret|pass|pwd|credential|odbc", re.I)  # in the name of an option
_SUFFIXES = (".db", ".sqlite", ".sqlite3")


def read_sql(spec: SqlSpec, folder: Path, reading: Reading) -> list[Row]:
    """Read the rows of a query; a path in sqlite's address starts at the task's folder.

    What is secret in the address is in no message and no row. Raises TaskError where the database cannot be reached
    or refuses the query.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    url = address_of(spec, folder)
    try:
        engine = create_engine(_read_only(url), echo=False, hide_parameters=True)
        try:
            with engine.connect() as connection:
                if (order := _READ_ONLY.get(url.get_backend_name())) is not None:
                    connection.exec_driver_sql(order)
                connection = connection.execution_options(no_parameters=True, stream_results=True, max_row_buffer=BATCH)
                result = connection.exec_driver_sql(spec.query)
                if not result.returns_rows:
                    raise TaskError(f"{LABEL}: the query returns no rows", "Write one that begins with SELECT.")
                return keep(_records(result, list(result.keys()), reading), LABEL, reading)
        finally:
            engine.dispose()
    except ImportError as problem:
        what = f"{LABEL}: the package '{problem.name}' that reads {url.get_backend_name()} is not installed"
        raise TaskError(what, f"Run: pip install {problem.name}; or save the rows as .jsonl.") from None
    except DBAPIError as problem:
        raise _refusal(problem.orig or problem, url, "cannot be read") from None
    except (SQLAlchemyError, OSError, ValueError, TypeError) as problem:
        raise _refusal(problem, url, "cannot be read") from None


def address_of(spec: SqlSpec, folder: Path) -> URL:
    """Return a database's address: as written, or what the environment variable of that name holds.

    Its secrets are noted, so that they are masked in whatever is written. Raises TaskError without quoting it.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import SQLAlchemyError

    text, whence = spec.url, "data.sql.url"
    if "://" not in text:
        whence = f"the environment variable {text}"
        if not os.environ.get(text):
            raise TaskError(f"{LABEL}: {whence} is not set", 'Set it, or write an address: "sqlite:///tickets.db".')
        text = os.environ[text]
    try:
        url = make_url(text)
    except (SQLAlchemyError, ValueError):  # which may quote it
        remedy = 'Write it as "sqlite:///tickets.db" or "postgresql://user@host/database".'
        raise TaskError(f"{LABEL}: {whence} is no address of a database", remedy) from None
    for secret in _secrets(url, _SECRET):
        hide(secret)
    if url.get_backend_name() == "sqlite":
        return _in_folder(url, folder)
    return url


def described(url: URL) -> str:
    """Return which database an address names, without user, password and options."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite {Path(url.database or '').name}"
    return f"{url.get_backend_name()} {url.host or ''}/{url.database or ''}"


def _in_folder(url: URL, folder: Path) -> URL:
    name = url.database or ""
    if name in ("", ":memory:") or name.startswith("file:"):
        raise TaskError(f"{LABEL}: sqlite's address names no file", 'Write it as "sqlite:///tickets.db".')
    path = folder / name
    if not is_file(path):
        raise no_such_file(path, f"{LABEL}: {name}", _SUFFIXES)
    return url.set(database=str(path))


def _read_only(url: URL) -> URL:
    if url.get_backend_name() != "sqlite":
        return url
    path = quote(str(Path(url.database or "").resolve()))
    return url.set(database=f"file:{path}", query={"mode": "ro", "uri": "true"})


def _records(result: Any, names: list[str], reading: Reading) -> Records:
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        what = f"the query gives the column '{name}' twice"
        reading.problems.add(LABEL, what, "Name one of them otherwise, with AS.")

    def rows() -> Iterator[tuple[int, Any]]:
        yield from enumerate(map(tuple, result), 1)

    def row(raw: tuple[int, Any]) -> Row:
        values = {name: plain_cell(value) for name, value in zip(names, raw[1], strict=True)}
        return Row(values, f"{LABEL} row {raw[0]}")

    return Records(rows(), row)


def _secrets(url: URL, named: re.Pattern[str] = re.compile("")) -> list[str]:
    """Return the password of an address, and the values of its options whose name is like `named`: by default all."""
    options = [
        value
        for name, values in url.query.items()
        for value in ([values] if isinstance(values, str) else values)
        if named.search(name)
    ]
    # ODBC's option is an address of its own: Driver=…;UID=…;PWD=….
    within = [word for value in options for word in re.findall(r"(?i)\bpwd=([^;]+)", value)]
    password = [str(url.password)] if url.password else []
    return [text for text in (*password, *map(quote, password), *options, *within) if text]


def _refusal(problem: BaseException, url: URL, what: str) -> TaskError:
    said = " ".join(str(problem).split())
    for secret in sorted(_secrets(url), key=len, reverse=True):
        said = said.replace(secret, HIDDEN)
    said = re.sub(r"(?<=://)[^/\s@]+(?=@)", HIDDEN, said)
    return TaskError(f"{LABEL}: {described(url)} {what} ({said})", "Correct data.sql: its url, or its query.")
