from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from optimizer.errors import TaskError
from optimizer.system.contained.run import lacking
from optimizer.task.load import load_task
from optimizer.task.metrics import running
from optimizer.task.metrics.base import Grade, WaitingMetric, graded
from optimizer.task.metrics.build import build_metric, builtin_of, metric_name
from optimizer.task.metrics.running import RUNNING, files_of_metric, unfenced
from optimizer.task.schema import FieldSpec
from optimizer.task.sources import sources_of
from optimizer.types import Example

from ..conftest import WriteTask
from .bait import SHOP

pytestmark = pytest.mark.skipif(bool(lacking()), reason=f"this machine cannot contain code: {lacking()}")
TEXT = {"y": FieldSpec()}
SQL = {"name": "sql_result", "database": "shop.db"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.executescript(SHOP)
    return tmp_path


def example(expected: str, **inputs: str) -> Example:
    return Example(inputs or {"x": "?"}, {"y": expected}, origin="data.csv:2")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("SELECT 1", "SELECT 1"),
        ("```sql\nSELECT 1\n```", "SELECT 1\n"),
        ("Here it is:\n\n```\nSELECT 1\n```\nIt selects.\n```\n2\n```", "SELECT 1\n"),
        ("  ```python\n  x = 1\n  ```", "  x = 1\n"),
        ("```sql\nSELECT 1", "SELECT 1"),
        ("```", ""),
        ("`SELECT 1`", "`SELECT 1`"),
        ("", ""),
    ],
)
def test_fences_are_taken_off(answer: str, code: str) -> None:
    assert unfenced(answer) == code


def test_a_query_is_run(folder: Path) -> None:
    metric = build_metric(SQL, TEXT, folder)
    assert metric(example("SELECT name FROM items"), {"y": "```sql\nselect name from items;\n```"})[0] == 1
    score, feedback = metric(example("SELECT name FROM items"), {"y": "SELECT name FROM cheap"})
    assert (score, feedback) == (0, "got y = 'SELECT name FROM cheap' (2 rows, not 3; missing: ('bag'))")
    assert metric(example("SELECT 1"), None) == (0, "the answer could not be read")
    assert metric(example("SELECT 1"), {"z": 1}) == (0, "the answer has no y")


def test_an_expected_query_that_fails_is_the_tasks_fault(folder: Path) -> None:
    metric = build_metric(SQL, TEXT, folder)
    with pytest.raises(
        TaskError, match=r"data.csv:2: sql_result: the expected query fails: SQLite says: no such table"
    ):
        metric(example("SELECT * FROM absent"), {"y": "SELECT 1"})


def test_code_is_tested(folder: Path) -> None:
    metric, part = (build_metric({"name": "code_tests", "partial": part}, TEXT, folder) for part in (False, True))
    tests = "assert f(1) == 2\nassert f(2) == 4"
    assert metric(example(tests), {"y": "def f(x): return 2 * x"})[0] == 1
    for one, wanted in ((metric, 0), (part, 0.5)):
        score, feedback = one(example(tests), {"y": "def f(x): return 2"})
        assert score == wanted
        assert feedback.endswith("(1 of 2 tests passed; failed: assert f(2) == 4 (2 against 4))")


def test_tests_may_lie_in_files(folder: Path) -> None:
    (folder / "tests").mkdir()
    for name in ("double", "half"):
        (folder / "tests" / f"{name}.py").write_text(f"assert f(4) == {8 if name == 'double' else 2}\n")
    spec = {"name": "code_tests", "tests": "tests/{x}.py"}
    metric = build_metric(spec, TEXT, folder)
    assert metric(example("", x="double"), {"y": "def f(x): return 2 * x"})[0] == 1
    assert metric(example("", x="half"), {"y": "def f(x): return 2 * x"})[0] == 0
    for value, said in (
        ("absent", "tests/absent.py: no such file"),
        ("../tests/half", "cannot be part of a file's name"),
    ):
        with pytest.raises(TaskError, match=said):
            metric(example("", x=value), {"y": "1"})
    with pytest.raises(TaskError, match=r"'x' is not an input\n +did you mean 'xx'"):
        metric(example("", xx="half"), {"y": "1"})
    assert [path.name for path in files_of_metric(spec, folder, "t")] == ["double.py", "half.py"]
    (folder / "tests" / "half.py").write_text("assert True")
    assert build_metric(spec, TEXT, folder).version != metric.version


@pytest.mark.parametrize(
    ("tests", "said"), [("def f(:", "the tests are no Python"), ("x = 1", "there are no tests, but 'x = 1'")]
)
def test_tests_that_cannot_be_run_are_the_tasks_fault(tests: str, said: str, folder: Path) -> None:
    with pytest.raises(TaskError, match=f"data.csv:2: code_tests: {said}"):
        build_metric("code_tests", TEXT, folder)(example(tests), {"y": "1"})


def test_answers_are_graded_while_others_are(folder: Path) -> None:
    metric = build_metric("code_tests", TEXT, folder)
    assert builtin_of(metric) is None

    async def grades() -> list[Grade]:
        answers = [{"y": f"x = {number % 2}"} for number in range(6)]
        return await asyncio.gather(*(graded(metric, example("assert x"), answer) for answer in answers))

    assert isinstance(metric, WaitingMetric)
    assert [grade.value for grade in asyncio.run(grades())] == [0, 1] * 3


def test_the_version_changes_with_options_and_files(folder: Path) -> None:
    specs: list[dict[str, Any]] = [SQL, {**SQL, "rows": 5}, {**SQL, "order": True}, {**SQL, "names": True}]
    versions = [build_metric(spec, TEXT, folder).version for spec in specs]
    with closing(sqlite3.connect(folder / "shop.db")) as shop:
        shop.executescript("DELETE FROM items WHERE id = 1")
    versions.append(build_metric(SQL, TEXT, folder).version)
    assert len(set(versions)) == len(versions)
    assert build_metric({**SQL, "seconds": 5.0}, TEXT, folder).version == versions[-1]


def test_names_are_known(tmp_path: Path) -> None:
    assert [metric_name({"name": name}, "t") for name in RUNNING] == ["sql_result", "code_tests"]
    with pytest.raises(TaskError, match="did you mean 'sql_result'"):
        build_metric("sql_results", TEXT, tmp_path)


@pytest.mark.parametrize(
    ("spec", "outputs", "parts"),
    [
        ("sql_result", TEXT, ["t.yaml: metric sql_result: 'database' is missing"]),
        ({**SQL, "databse": 1}, TEXT, ["unknown key 'databse'", "did you mean 'database'?"]),
        ({**SQL, "second": 1}, TEXT, ["unknown key 'second'", "did you mean 'seconds'?"]),
        ({**SQL, "seconds": 0}, TEXT, ["'seconds'", "got 0"]),
        ({**SQL, "rows": "many"}, TEXT, ["'rows'", "got 'many'"]),
        ({**SQL, "database": "shop.sqlite"}, TEXT, ["shop.sqlite: no such file", "shop.db"]),
        ({**SQL, "database": "../shop.db"}, TEXT, ["no such file"]),
        ({**SQL, "database": "text.db"}, TEXT, ["text.db is no SQLite database"]),
        ({**SQL, "database": "busy.db"}, TEXT, ["busy.db has changes that lie in busy.db-wal", "Close whatever"]),
        ({**SQL, "database": "link.db"}, TEXT, ["'link.db' lies outside of the task's folder"]),
        (SQL, {"y": FieldSpec(), "z": FieldSpec()}, ["needs one output, which is text, and not y, z"]),
        (SQL, {"y": FieldSpec(type="int")}, ["needs one output, which is text"]),
        ({"name": "code_tests", "language": "ruby"}, TEXT, ["'language'", "'python'", "got 'ruby'"]),
        ({"name": "code_tests", "memory": 1}, TEXT, ["unknown key 'memory'", "did you mean 'memory_mb'?"]),
        ({"name": "code_tests", "memory_mb": 1}, TEXT, ["'memory_mb'", "got 1"]),
        ({"name": "code_tests", "tests": "tests.txt"}, TEXT, ["name a .py file"]),
        ({"name": "code_tests", "tests": "tests.py"}, TEXT, ["tests.py: no such file"]),
        ({"name": "code_tests", "tests": "x/{x}.py"}, TEXT, ["no files of tests x/{x}.py"]),
        ({"name": "code_tests", "tests": "../{x}.py"}, TEXT, ["no files of tests ../{x}.py"]),
        ({"name": "code_tests", "containment": "none"}, TEXT, ["'containment'", "got 'none'"]),
    ],
)
def test_refuses(spec: Any, outputs: dict[str, FieldSpec], parts: list[str], folder: Path) -> None:
    (folder / "text.db").write_text("text")
    (folder / "busy.db").write_bytes((folder / "shop.db").read_bytes())
    (folder / "busy.db-wal").write_text("x")
    (folder / "link.db").symlink_to(Path(__file__))
    with pytest.raises(TaskError) as caught:
        build_metric(spec, outputs, folder, "t.yaml")
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["sql_result", "code_tests"])
def test_a_machine_that_cannot_contain_refuses_unless_told(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "lacking", lambda weak: "" if weak else "Darwin has no Landlock and no seccomp")
    spec = {**SQL, "name": name} if name == "sql_result" else {"name": name}
    with pytest.raises(TaskError, match=r"cannot contain what answers do \(Darwin has no.*\)\n.*containment: weak"):
        build_metric(spec, TEXT, folder)
    metric = build_metric({**spec, "containment": "weak"}, TEXT, folder)
    expected, right = ("SELECT 1", "SELECT 1") if name == "sql_result" else ("assert x", "x = 1")
    assert metric(example(expected), {"y": right})[0] == 1


def test_the_files_belong_to_the_task(write_task: WriteTask) -> None:
    data = "".join(f'{{"message": "m{n}", "team": "SELECT {n}"}}\n' for n in range(20))
    folder = write_task({"d.jsonl": data}, data={"path": "d.jsonl"}, outputs={"team": {}}, metric=SQL)
    with closing(sqlite3.connect(folder / "shop.db")) as shop:
        shop.executescript(SHOP)
    files = sources_of(load_task(folder))["files"]
    assert [(one["file"], one["use"]) for one in files] == [
        ("task.yaml", "task"),
        ("d.jsonl", "data"),
        ("shop.db", "metric"),
    ]
    (folder / "shop.db").unlink()
    assert load_task(folder, scored=False).metric.name == "exact_match"


def test_expected_queries_are_tried_when_the_task_is_read(write_task: WriteTask) -> None:
    queries = [f"SELECT {n}" for n in range(20)]
    queries[3], queries[7] = "SELECT absent", "DROP TABLE items"
    data = "".join(f'{{"message": "m{n}", "team": "{query}"}}\n' for n, query in enumerate(queries))
    changes: dict[str, Any] = {"data": {"path": "d.jsonl"}, "outputs": {"team": {}}, "metric": SQL}
    folder = write_task({"d.jsonl": data}, **changes)
    with closing(sqlite3.connect(folder / "shop.db")) as shop:
        shop.executescript(SHOP)
    with pytest.raises(TaskError) as caught:
        load_task(folder)
    assert str(caught.value).splitlines() == [
        "d.jsonl:4: sql_result: the expected query fails: SQLite says: no such column: absent",
        "d.jsonl:8: sql_result: the expected query fails: it may only select: DELETE is refused",
        "  Correct the data, or the options of the metric.",
    ]


def test_an_expected_query_without_end_is_named(folder: Path) -> None:
    metric: Any = build_metric({**SQL, "seconds": 0.2}, TEXT, folder)
    examples = [example("SELECT 1"), example("SELECT printf('%.*c', 1000000000, 'x')"), example("SELECT 1")]
    assert metric.refusals(examples) == [(examples[1], "the expected query fails: it ran for more than 0.2 seconds")]
    assert metric.refusals([]) == []


def test_tests_are_read_when_the_task_is(folder: Path) -> None:
    metric: Any = build_metric("code_tests", TEXT, folder)
    examples = [example("assert f()"), example("x = 1"), example("def f(:")]
    assert metric.refusals(examples) == [
        (examples[1], "there are no tests, but 'x = 1'"),
        (examples[2], "the tests are no Python (invalid syntax (<unknown>, line 1))"),
    ]
