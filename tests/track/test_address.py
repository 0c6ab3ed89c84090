from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from optimizer.errors import ConfigError
from optimizer.track.address import checked, is_server, local_path, on_this_machine


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:5000",
        "https://mlflow.example.org/base",
        "http://nobody-listens-here.invalid",
        "postgresql://user@host/db",
        "mysql+pymysql://host/db",
        "databricks",
        "databricks://profile",
    ],
)
def test_an_address_that_may_answer_is_taken_as_it_is(uri: str) -> None:
    assert checked(uri) == uri
    assert local_path(uri) is None


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("nonsense://x", "the scheme 'nonsense' is not one of MLflow's"),
        ("file:///tmp/mlruns", "the scheme 'file'"),
        ("mlruns", "it has no scheme"),
        ("http://", "it names no host"),
        ("http://host:port", "cannot be used"),
        ("sqlite://", "it names no file"),
        ("sqlite:///:memory:", "it names no file"),
        ("sqlite:////nowhere/at/all/mlflow.db", "unable to open database file"),
    ],
)
def test_one_that_never_will_is_refused(uri: str, says: str) -> None:
    with pytest.raises(ConfigError, match=r"tracking\.mlflow\.uri") as caught:
        checked(uri)
    assert says in str(caught.value)
    assert "sqlite:///path/mlflow.db" in str(caught.value)


@pytest.mark.parametrize("uri", ["http://me:sesame@host/", "postgresql://me:sesame@host/db"])
def test_a_password_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(ConfigError, match="holds a password") as caught:
        checked(uri)
    assert "sesame" not in str(caught.value)


def test_a_local_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert checked("sqlite:///mine.db") == checked(f"sqlite:///{tmp_path}/mine.db") == f"sqlite:///{tmp_path}/mine.db"
    assert local_path(checked("sqlite:///mine.db")) == tmp_path / "mine.db"


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is not a database, whatever its name says\n" * 20)
    with pytest.raises(ConfigError, match="not a database"):
        checked(f"sqlite:///{tmp_path}/text.db")
    with pytest.raises(ConfigError, match="unable to open"):
        checked(f"sqlite:///{tmp_path}")


def test_a_database_that_is_busy_is_fine(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "busy.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN EXCLUSIVE")
        assert checked(f"sqlite:///{tmp_path}/busy.db")


def test_a_server_is_told_from_a_database() -> None:
    assert [is_server(uri) for uri in ("http://a", "https://a", "sqlite:///a", "postgresql://a/b")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("uri", "here"),
    [
        ("sqlite:////tmp/mlflow.db", True),
        ("http://localhost:5000", True),
        ("https://mlflow.example.org", False),
        ("postgresql://user@db.example.org/mlflow", False),
        ("databricks", False),
    ],
)
def test_what_stays_on_this_machine_is_known_by_its_address(uri: str, here: bool) -> None:
    assert on_this_machine(uri) == here
