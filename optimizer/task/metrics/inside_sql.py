"""Runs two queries on one SQLite database and compares their results; for a contained process.

SQLite opens the file to read, is told that it never changes, and may do nothing but select. Standard library alone.
"""

from __future__ import annotations

import math
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

Row = tuple[Any, ...]
# Numbers that are as near are the same: sums hang on the order of their terms. The second is for sums of nothing.
RELATIVE, ABSOLUTE = 1e-9, 1e-12
_STEPS, _WIDTH = 1000, 300
_ALLOWED = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE))
# What SQLite itself asks for where a virtual table or json_each is read. Nobody can write by it: the schema is no
# table that an UPDATE may name, and the file is open to read.
_ASKED = frozenset(
    (
        (sqlite3.SQLITE_UPDATE, "sqlite_master"),
        (sqlite3.SQLITE_PRAGMA, "data_version"),
        (sqlite3.SQLITE_PRAGMA, "page_size"),
    )
)
# They load code, or reach files where a build of SQLite has them.
_FUNCTIONS = frozenset(("load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "lsmode", "zipfile"))
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 10_000_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 500,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 1_000_000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
# What is left out to see which words of a query stand outside of parentheses, texts, names and remarks.
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|$)""", re.S)
_INNERMOST = re.compile(r"\([^()]*\)")


class Refused(Exception):
    """A query that cannot be run, in words."""


def run(job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield nothing once the expected query has run, then `score` and `remark`; or `broken`, where it cannot be run.

    Of `queries`, which are only to be tried, yield what is wrong with each: `problems`, "" where nothing is.
    """
    database = Database(job["database"], job["seconds"], job["rows"], job["memory_mb"])
    if "queries" in job:
        yield from _tried(database, job["queries"])
        return
    try:
        expected = database.rows(job["expected"])
    except Refused as problem:
        yield {"broken": str(problem)}
        return
    yield {}
    try:
        seen = database.rows(job["answer"])
    except Refused as problem:
        yield {"score": 0.0, "remark": str(problem)}
        return
    in_order = is_ordered(job["expected"]) if job["order"] is None else job["order"]
    remark = difference(expected, seen, in_order, job["names"])
    yield {"score": float(not remark), "remark": remark}


def _tried(database: Database, queries: Sequence[str]) -> Iterator[dict[str, Any]]:
    problems = []
    for query in queries:
        try:
            database.rows(query)
            problems.append("")
        except Refused as problem:
            problems.append(str(problem))
        yield {"problems": problems} if len(problems) == len(queries) else {}


class Database:
    """A SQLite file that queries are run on, each for `seconds` at most, with at most so many `rows`."""

    def __init__(self, path: str, seconds: float, rows: int, memory_mb: int) -> None:
        self._seconds, self._rows, self._memory_mb = seconds, rows, memory_mb
        self._refused: list[str] = []
        self._end = math.inf
        uri = f"file:{quote(path)}?mode=ro&immutable=1"
        self._connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        self._connection.text_factory = lambda text: text.decode("utf-8", "replace")
        # Half of the process's own limit: SQLite then says so, and Python has room for the rows.
        for setting in (f"hard_heap_limit={memory_mb << 19}", "trusted_schema=OFF", "query_only=ON", "temp_store=2"):
            self._connection.execute(f"PRAGMA {setting}").fetchall()
        for category, value in _LIMITS.items():
            self._connection.setlimit(category, value)
        self._open_virtual_tables()
        self._connection.set_authorizer(self._authorized)
        self._connection.set_progress_handler(lambda: int(time.monotonic() > self._end), _STEPS)

    def rows(self, query: str) -> tuple[list[str], list[Row]]:
        """Return the names of the columns and the rows; raises Refused."""
        self._refused.clear()
        self._end = time.monotonic() + self._seconds
        try:
            cursor = self._connection.execute(query)
            if cursor.description is None:
                raise Refused("it selects nothing")
            rows = cursor.fetchmany(self._rows + 1)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as problem:
            raise Refused(self._reason(problem)) from None
        except MemoryError:
            raise Refused(f"it needs more than {self._memory_mb} MB of memory") from None
        if len(rows) > self._rows:
            raise Refused(f"it has more than {self._rows:,} rows")
        return [column[0] for column in cursor.description], rows

    def _reason(self, problem: Exception) -> str:
        if time.monotonic() > self._end:
            return f"it ran for more than {self._seconds:g} seconds"
        if self._refused:
            return f"it may only select: {self._refused[0]} is refused"
        return f"SQLite says: {problem}"[:_WIDTH]

    def _open_virtual_tables(self) -> None:
        """Let R-Tree and the like prepare what they write with, which is nothing that a query may do."""
        tables = "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'"
        for (name,) in self._connection.execute(tables).fetchall():
            quoted = str(name).replace('"', '""')
            with suppress(sqlite3.Error):  # of a module that this SQLite does not have
                self._connection.execute(f'SELECT 1 FROM "{quoted}" LIMIT 0').fetchall()  # noqa: S608 - quoted

    def _authorized(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        function = (second or "").casefold() if action == sqlite3.SQLITE_FUNCTION else ""
        if (action in _ALLOWED and function not in _FUNCTIONS) or (action, first) in _ASKED:
            return sqlite3.SQLITE_OK
        self._refused.append(function or _NAMES.get(action, "that"))
        return sqlite3.SQLITE_DENY


def is_ordered(query: str) -> bool:
    """Whether a query has an ORDER BY of its own, outside of the queries within it."""
    text, shorter = "", _QUOTED.sub(" ", query)
    while text != shorter:
        text, shorter = shorter, _INNERMOST.sub(" ", shorter)
    return re.search(r"\border\s+by\b", text, re.I) is not None


def difference(
    expected: tuple[Sequence[str], Sequence[Row]],
    seen: tuple[Sequence[str], Sequence[Row]],
    in_order: bool,
    names: bool,
) -> str:
    """Return how two results differ, "" where they do not: rows as a multiset, or `in_order`; columns by position.

    With `names` the columns must be called the same, but for case.
    """
    columns, rows = expected
    if len(columns) != len(seen[0]):
        return f"{_count(len(seen[0]), 'column')}, not {len(columns)}"
    if names and [name.casefold() for name in columns] != [name.casefold() for name in seen[0]]:
        return f"columns {', '.join(seen[0])}, not {', '.join(columns)}"[:_WIDTH]
    wanted, answered = _comparable(rows, seen[1])
    size = f"{_count(len(answered), 'row')}, not {len(wanted)}; " if len(wanted) != len(answered) else ""
    if in_order:
        pairs = zip(wanted, answered, strict=False)
        at = next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(wanted), len(answered)))
        if at == len(wanted) == len(answered):
            return ""
        return f"{size}row {at + 1} is {_row(seen[1], at)}, not {_row(rows, at)}"
    missing, extra = Counter(wanted) - Counter(answered), Counter(answered) - Counter(wanted)
    if not missing and not extra:
        return ""
    first = [_row(rows, next(at for at, row in enumerate(wanted) if row in missing))] if missing else []
    other = [_row(seen[1], next(at for at, row in enumerate(answered) if row in extra))] if extra else []
    return size + "; ".join([*(f"missing: {row}" for row in first), *(f"too many: {row}" for row in other)])


def _comparable(rows: Sequence[Row], others: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return both results with numbers that are as near as that replaced by one and the same number."""
    near = [_near({row[at] for row in (*rows, *others) if _is_number(row[at])}) for at in range(_width(rows, others))]
    replaced = [
        [tuple(near[at].get(v, v) if _is_number(v) else (type(v).__name__, v) for at, v in enumerate(r)) for r in table]
        for table in (rows, others)
    ]
    return replaced[0], replaced[1]


def _width(rows: Sequence[Row], others: Sequence[Row]) -> int:
    return len(next(iter((*rows[:1], *others[:1])), ()))


def _near(numbers: set[float]) -> dict[float, float]:
    """Return for each number the least one that a chain of near numbers leads to; whole numbers are never near."""
    nearest: dict[float, float] = {}
    last: float | None = None
    for number in sorted(numbers):
        is_near = last is not None and not (isinstance(number, int) and isinstance(last, int)) and is_same(last, number)
        nearest[number] = nearest[last] if is_near and last is not None else number
        last = number
    return nearest


def is_same(one: float, other: float) -> bool:
    """Whether two numbers are near enough to be the same."""
    return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _row(rows: Sequence[Row], at: int) -> str:
    return f"({', '.join(map(_cell, rows[at]))})"[:_WIDTH] if at < len(rows) else "none"


def _cell(value: Any) -> str:
    return "NULL" if value is None else repr(value[:_WIDTH] if isinstance(value, (str, bytes)) else value)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


_NAMES: Mapping[int, str] = {
    getattr(sqlite3, f"SQLITE_{name}"): name.replace("_", " ")
    for name in (
        *("ATTACH", "DETACH", "PRAGMA", "TRANSACTION", "SAVEPOINT", "INSERT", "UPDATE", "DELETE", "ANALYZE", "REINDEX"),
        *("ALTER_TABLE", "CREATE_TABLE", "CREATE_TEMP_TABLE", "CREATE_INDEX", "CREATE_VIEW", "CREATE_TEMP_VIEW"),
        *("CREATE_TRIGGER", "CREATE_TEMP_TRIGGER", "CREATE_VTABLE", "DROP_TABLE", "DROP_INDEX", "DROP_VIEW"),
    )
}
