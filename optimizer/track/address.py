"""Which MLflow is meant: bad addresses are refused here, at once, without MLflow and without a network."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from optimizer.errors import ConfigError
from optimizer.system.loopback import is_loopback

SERVERS = ("http", "https")
DATABASES = ("postgresql", "mysql", "mssql")
LOCAL = "sqlite"


def checked(uri: str) -> str:
    """Return the address, a local database's path made absolute; raises ConfigError.

    A server that does not answer is no bad address: it is an outage, and found later.
    """
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 - it is read lazily, and raises where it is no number
    except ValueError as problem:
        raise _refused("the address", str(problem)) from None
    if parts.password:
        # It would be written into the ledger, the reports and the log.
        what = f"tracking.mlflow.uri: the address of {parts.hostname} holds a password"
        remedy = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the database's own variable, instead."
        raise ConfigError(what, remedy)
    scheme = parts.scheme.partition("+")[0]
    if scheme == LOCAL:
        return _local(uri)
    if scheme not in (*SERVERS, *DATABASES, "databricks") and uri != "databricks":
        raise _refused(f"'{uri}'", f"the scheme '{scheme}' is not one of MLflow's" if scheme else "it has no scheme")
    if scheme in SERVERS and not parts.hostname:
        raise _refused(f"'{uri}'", "it names no host")
    return uri


def is_server(uri: str) -> bool:
    """Tell if an address is that of a server, which shows its own UI."""
    return urlsplit(uri).scheme in SERVERS


def on_this_machine(uri: str) -> bool:
    """Tell if what is written to an address stays here: a SQLite file, or a server on the loopback."""
    return local_path(uri) is not None or is_loopback(uri)


def refuse_unmasked(uri: str, redact: Collection[str], allowed: bool) -> None:
    """Raise ConfigError where a run that masks `redact` would send its examples elsewhere, and nobody allowed that."""
    if redact and not allowed and not on_this_machine(uri):
        what = "privacy.redact: an MLflow on another machine would have the examples and answers unmasked"
        remedy = "Name a file or a server on this machine, as by default; or allow it with privacy.mlflow: true."
        raise ConfigError(what, remedy)


def local_path(uri: str) -> Path | None:
    """Return the file behind a SQLite address, None for any other address."""
    head, found, rest = uri.partition(":///")
    return Path(rest.partition("?")[0]) if found and head.partition("+")[0] == LOCAL else None


def _local(uri: str) -> str:
    path = local_path(uri)
    if path is None or path.name in {"", ":memory:"}:
        raise _refused(f"'{uri}'", "it names no file")
    path = path.absolute()
    problem = _unusable(path)
    if problem:
        raise _refused(f"'{uri}'", problem)
    return f"sqlite:///{path}"


def _unusable(path: Path) -> str:
    """Return why a file cannot be a database, "" if it can; a database that is busy can."""
    try:
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.OperationalError as problem:
        return "" if problem.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) else str(problem)
    except sqlite3.DatabaseError as problem:
        return str(problem)
    return "" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "it cannot be written"


def _refused(what: str, why: str) -> ConfigError:
    remedy = "Give sqlite:///path/mlflow.db, a server's http://…, or leave it out."
    return ConfigError(f"tracking.mlflow.uri: {what} cannot be used ({why})", remedy)
