from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.task.metrics.inside_sql import Database, Refused, difference, is_ordered, run

from .bait import SHOP

VALUES = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=3), st.binary(max_size=3)
)
TABLES = st.integers(1, 3).flatmap(lambda width: st.lists(st.tuples(*[VALUES] * width), max_size=8))


def compared(rows: list[Any], others: list[Any], in_order: bool = False) -> str:
    width = len((rows or others or [()])[0])
    names = [f"c{at}" for at in range(width)]
    return difference((names, rows), (names, others), in_order, names=False)


@given(TABLES, st.randoms(use_true_random=False))
def test_a_result_is_the_same_in_any_order_and_with_sums_added_otherwise(rows: list[Any], random: Any) -> None:
    near = [tuple(v * (1 + 1e-12) if isinstance(v, float) and abs(v) < 1e300 else v for v in row) for row in rows]
    assert compared(rows, near, in_order=True) == ""
    random.shuffle(near)
    assert compared(rows, near) == ""
    assert compared(near, rows) == ""


@given(TABLES, TABLES)
def test_a_difference_is_one_both_ways(rows: list[Any], others: list[Any]) -> None:
    if rows and others and len(rows[0]) != len(others[0]):
        return
    assert bool(compared(rows, others)) == bool(compared(others, rows))
    if not compared(rows, others, in_order=True):
        assert not compared(rows, others)


@given(TABLES.filter(bool), st.data())
def test_a_row_too_many_or_too_few_is_seen(rows: list[Any], data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(rows))
    assert "too many" in compared(rows, [*rows, row])
    assert "missing" in compared([*rows, row], rows)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (1, 1.0, True),
        (0.1 + 0.2, 0.3, True),
        (0, 0.1 + 0.2 - 0.3, True),
        (1.0, 1.00001, False),
        (5551234567, 5551234568, False),  # whole numbers are counts and keys, however near
        (float("inf"), float("inf"), True),
        (None, None, True),
        (None, 0, False),
        (None, "", False),
        ("1", 1, False),
        ("a", "A", False),
        (b"a", "a", False),
        (2**63 - 1, 2**63 - 2, False),
    ],
)
def test_which_values_are_the_same(one: Any, other: Any, is_same: bool) -> None:
    assert (compared([(one,)], [(other,)]) == "") == is_same


@pytest.mark.parametrize(
    ("query", "ordered"),
    [
        ("SELECT a FROM t ORDER BY a", True),
        ("select a from t order\n by a limit 1", True),
        ("SELECT a FROM (SELECT a FROM t ORDER BY a)", False),
        ("SELECT rank() OVER (PARTITION BY (a) ORDER BY b) FROM t", False),
        ("SELECT ')' FROM (SELECT 1) ORDER BY 1", True),
        ("SELECT 'order by' FROM t -- order by a", False),
        ('SELECT "order by" FROM t /* order by', False),
        ("SELECT it''s FROM t", False),
        ("WITH x AS (SELECT 1 ORDER BY 1) SELECT * FROM x ORDER BY 1", True),
        ("", False),
    ],
)
def test_an_order_of_its_own(query: str, ordered: bool) -> None:
    assert is_ordered(query) == ordered


def test_what_is_said_of_a_difference() -> None:
    assert compared([(1, "a"), (2, None)], [(1, "a")]) == "1 row, not 2; missing: (2, NULL)"
    assert compared([(1, "a")], [(1, "b")]) == "missing: (1, 'a'); too many: (1, 'b')"
    assert compared([(1,), (2,)], [(2,), (1,)], in_order=True) == "row 1 is (2), not (1)"
    assert compared([(1,)], [(1,), (2,)], in_order=True) == "2 rows, not 1; row 2 is (2), not none"
    assert difference((["a"], []), (["a", "b"], []), False, False) == "2 columns, not 1"
    assert difference((["a"], [(1,)]), (["A"], [(1,)]), False, True) == ""
    assert difference((["a"], [(1,)]), (["b"], [(1,)]), False, True) == "columns b, not a"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "a ?shop#%.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SHOP)
    return path


def scored(path: Path, expected: str, answer: str, **options: Any) -> list[dict[str, Any]]:
    job = {"database": str(path), "expected": expected, "answer": answer, "seconds": 5.0, "memory_mb": 512}
    try:
        return list(run({**job, "rows": 10, "order": None, "names": False, **options}))
    finally:
        # The limit of the heap is the whole process's.
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("PRAGMA hard_heap_limit=0")


def test_order_counts_where_the_expected_query_says_so(shop: Path) -> None:
    down, up = "SELECT name FROM items ORDER BY price DESC", "SELECT name FROM items ORDER BY price"
    assert scored(shop, down, up)[-1]["score"] == 0
    assert scored(shop, down, up, order=False)[-1]["score"] == 1
    assert scored(shop, "SELECT name FROM items", down)[-1]["score"] == 1
    assert scored(shop, "SELECT name FROM items", down, order=True)[-1]["score"] == 0
    assert scored(shop, down, down) == [{}, {"score": 1.0, "remark": ""}]


def test_views_functions_and_recursion_may_be_used(shop: Path) -> None:
    database = Database(str(shop), 5, 100, 512)
    for query, first in {
        "SELECT name FROM cheap": ("pen",),
        "SELECT round(sum(price), 2) FROM items": (25.75,),
        "SELECT name FROM items WHERE name LIKE 'B%' COLLATE NOCASE": ("bag",),
        "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r WHERE x < 3) SELECT max(x) FROM r": (3,),
        "SELECT value FROM json_each('[7]')": (7,),
        "SELECT name, rank() OVER (ORDER BY price) FROM items": ("pen", 1),
        "SELECT count(*) FROM sqlite_master": (2,),
        "VALUES (1)": (1,),
        "SELECT strftime('%Y', '2024-05-01');": ("2024",),
    }.items():
        assert database.rows(query)[1][0] == first


@pytest.mark.parametrize(
    ("columns", "row", "query"),
    [
        ("fts5(x)", "('a cup')", "SELECT highlight(t, 0, '', '') FROM t WHERE t MATCH 'cup'"),
        ("fts4(x)", "('a cup')", "SELECT x FROM t WHERE t MATCH 'cup'"),
        ("rtree(x, low, high)", "(1, 2, 3)", "SELECT 'a cup' FROM t WHERE low < 3"),
    ],
)
def test_virtual_tables_may_be_used(columns: str, row: str, query: str, tmp_path: Path) -> None:
    path = tmp_path / "f.db"
    with closing(sqlite3.connect(path)) as connection:
        try:
            connection.executescript(f"CREATE VIRTUAL TABLE t USING {columns}; INSERT INTO t VALUES {row}")
        except sqlite3.OperationalError:
            pytest.skip(f"this SQLite has no {columns}")
        connection.commit()
    database = Database(str(path), 5, 100, 512)
    assert database.rows(query)[1] == [("a cup",)]
    for change in ("INSERT INTO t VALUES (1)", "DELETE FROM t", "DROP TABLE t", "UPDATE sqlite_master SET sql = ''"):
        with pytest.raises(Refused):
            database.rows(change)


def test_text_that_is_no_utf8_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE t(x TEXT); INSERT INTO t VALUES (CAST(x'ff' AS TEXT))")
    assert Database(str(path), 5, 100, 512).rows("SELECT x FROM t")[1] == [("�",)]


def test_an_expected_query_that_fails_is_broken(shop: Path) -> None:
    (only,) = scored(shop, "SELECT x FROM items", "SELECT 1")
    assert only == {"broken": "SQLite says: no such column: x"}
    (only,) = scored(shop, "SELECT 1 FROM items a, items b, items c", "SELECT 1")
    assert only == {"broken": "it has more than 10 rows"}


def test_an_answer_that_fails_scores_nothing(shop: Path) -> None:
    for answer, remark in {
        "DELETE FROM items": "it may only select: DELETE is refused",
        "SELECT x FROM items": "SQLite says: no such column: x",
        "SELECT load_extension('x')": "it may only select: load_extension is refused",
    }.items():
        assert scored(shop, "SELECT 1", answer) == [{}, {"score": 0.0, "remark": remark}]


def test_a_query_ends_at_its_time(shop: Path) -> None:
    database = Database(str(shop), 0.05, 10, 512)
    with pytest.raises(Refused, match=r"it ran for more than 0\.05 seconds"):
        database.rows("WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT count(*) FROM r")
    assert database.rows("SELECT 1")[1] == [(1,)]
