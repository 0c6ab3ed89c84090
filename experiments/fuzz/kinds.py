"""The kinds of input that are fuzzed: what a valid one is, how it is damaged, and who reads it."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from click.testing import CliRunner
from hypothesis import strategies as st

from optimizer.cli.main import cli
from optimizer.errors import CallError, StoppedByFailures
from optimizer.testing.fuzz import (
    Damage,
    broken,
    damaged,
    damages,
    files,
    json_text,
    mutated,
    odd_values,
    refusal,
    sound,
)

Act = Callable[[Any], str]


@dataclass(frozen=True)
class Kind:
    """Inputs of one kind, and what reads one.

    `act` returns "" where the input works and the message where metier refuses it; it raises for any other end.
    """

    inputs: st.SearchStrategy[Any]
    act: Act


KINDS: dict[str, Callable[[Path], Any]] = {}


def kind(make: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Enter a kind: a context manager that is given an empty folder of its own."""
    KINDS[make.__name__] = contextmanager(make)
    return make


def command(*arguments: str) -> str:
    """Run a command and return its message, "" where it works; raises what ended it otherwise."""
    with mock.patch("optimizer.cli.main.internal_errors", return_value=nullcontext()):  # else it hides what was wrong
        done = CliRunner().invoke(cli, list(arguments), prog_name="metier")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code in (0, 1, 2, 3), done.exit_code
    return sound(done.stderr) if done.exit_code and done.stderr else ""


def to_yaml(data: Any) -> str:
    """Return data as YAML; half of a surrogate pair is written as PyYAML writes it."""
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


# --- a run's YAML, and --set ---------------------------------------------------------------------------------------

RUNS: tuple[dict[str, Any], ...] = (
    {
        "task": "task",
        "models": {
            "task": {
                "model": "openai/fake",
                "api_base": "http://127.0.0.1:9/v1",
                "temperature": 0.2,
                "price": {"input": 1, "output": 2},
            },
            "prompt": {"model": "anthropic/fake", "api_key_env": "PATH", "price": {"input": 1, "output": 2.5}},
            "concurrency": 4,
            "timeout": 20,
        },
        "search": {
            "strategy": "default",
            "objective": ["score", "tokens"],
            "prefer": "cheapest-within 0.02",
            "prior": {"formats": {"turns": 0.1}, "policies": {"nearest": 0.1}, "demos": 0.1},
            "trials": 8,
            "formats": ["turns", "block"],
            "demos": {"policies": ["static"], "counts": [0, 2], "orders": ["given"], "sets": 2, "bootstrapped": 1},
            "round": 3,
            "block": 4,
            "proposers": ["templates", "reflect"],
        },
        "budget": {"calls": 100, "tokens": 10_000, "usd": 1.5, "seconds": 60, "until": "07:00"},
        "test": {"baselines": 10},
        "cache": {"shared": True},
        "failures": {"retries": 1, "give_up_after": 3},
        "tracking": {"mlflow": {"uri": "sqlite:///mlflow.db", "experiment": "x"}},
        "notify": {"url": "http://127.0.0.1:9/", "url_env": None},
        "seed": 1,
        "run_dir": "out",
    },
    {
        "task": "task",
        "models": {"task": "openai/fake"},
        "search": {"strategy": "dspy.MIPROv2", "options": {"auto": "light"}},
    },
    {"task": "task", "budget": {"until": "2031-01-01T07:00:00+02:00"}, "tracking": {"mlflow": None}},
)


@kind
def run_yaml(folder: Path) -> Iterator[Kind]:
    """`metier config show`, then what a run makes of its settings before it asks a model."""
    from optimizer.config.load import load_config

    (folder / "task").mkdir()
    keys = [".".join(path) for path in _keys(RUNS[0])]
    text = st.text(max_size=20) | odd_values().map(lambda value: yaml.safe_dump(value)[:200])
    overrides = st.lists(st.tuples(st.sampled_from([*keys, "", "a..b", "task.x", "seed.y"]), text), max_size=2)

    def act(made: tuple[bytes, list[tuple[str, str]]]) -> str:
        content, changes = made
        (folder / "run.yaml").write_bytes(content)
        sets = [f"{key}={value}" for key, value in changes]
        arguments = [part for one in sets for part in ("--set", one)]
        refused = command("config", "show", "run.yaml", *arguments)
        return refused or refusal(lambda: _prepare(load_config("run.yaml", sets), folder))

    yield Kind(st.tuples(files(RUNS, to_yaml), overrides | st.just([])), act)


def _keys(data: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in data.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, *rest) for rest in _keys(value))


def _prepare(config: Any, folder: Path) -> None:
    """Make what a run makes of its settings: the end, the prices, the address of MLflow, the endpoints."""
    import time

    from optimizer.config.models import is_local
    from optimizer.door.budget import Budget, refuse_past
    from optimizer.job.folder import mlflow_uri
    from optimizer.job.resume import hide_keys
    from optimizer.models.fleet import Fleet
    from optimizer.models.prices import prices_of

    refuse_past(config.budget, time.time())
    Budget(config.budget)
    mlflow_uri(config, folder)
    hide_keys(config)
    prices_of(config)
    if not any(is_local(model.model) for model in config.models.by_key.values()):
        with Fleet(config.models):
            pass


# --- a task and its data -------------------------------------------------------------------------------------------

ROWS = [
    {"text": f"the {place} store has {word}", "kind": word, "size": str(n), "ok": "yes", "tags": "a, b"}
    for n, place in enumerate(("north", "south", "east", "west"))
    for word in ("iron", "zinc", "owl")
]
FIELDS: dict[str, Any] = {
    "inputs": {"text": {"desc": "a sentence"}},
    "outputs": {
        "kind": {"choices": ["iron", "zinc", "owl"], "definitions": {"iron": "a metal"}},
        "size": {"type": "int", "desc": "how many"},
        "ok": {"type": "bool"},
        "tags": {"type": "list[str]"},
    },
}
TASKS: tuple[dict[str, Any], ...] = (
    {
        "name": "sorting",
        "description": "Sort it.",
        **FIELDS,
        "instruction": "Sort it.",
        "fields": {"text": "text"},
        "data": {"path": "examples.jsonl"},
        "split": {"train": 0.4, "validation": 0.2, "test": 0.4, "seed": 1},
        "metric": "exact_match",
    },
    {
        "name": "sorting",
        "inputs": {"text": None},
        "outputs": {"size": {"type": "float"}},
        "instruction": {"file": "seed.txt"},
        "data": {"train": "examples.jsonl", "test": "test.jsonl"},
        "metric": {"name": "numeric", "tolerance": 0.1},
    },
    {
        "name": "s",
        "inputs": {"text": {"type": "str"}},
        "outputs": {"kind": {"choices": ["iron", "zinc", "owl"]}},
        "instruction": "Sort it.",
        "data": {"path": "examples.jsonl"},
        "metric": {"python": "metric.py:score"},
        "program": "program.py:make",
    },
)
METRIC = "def score(expected, answer):\n    return 1.0\n"
PROGRAM = "import dspy\n\n\ndef make(task):\n    return dspy.Predict('text -> kind')\n"


@kind
def task_yaml(folder: Path) -> Iterator[Kind]:
    """`metier tasks show` and, of what that shows, `metier tasks check`."""
    (folder / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "test.jsonl").write_text("".join(json.dumps({**row, "text": f"{row['text']}!"}) + "\n" for row in ROWS))
    (folder / "seed.txt").write_text("Sort it.")
    (folder / "metric.py").write_text(METRIC)
    (folder / "program.py").write_text(PROGRAM)

    def act(content: bytes) -> str:
        (folder / "task.yaml").write_bytes(content)
        return command("tasks", "show", ".") or command("tasks", "check", ".")

    yield Kind(files(TASKS, to_yaml), act)


def _data(folder: Path, name: str, inputs: st.SearchStrategy[bytes]) -> Iterator[Kind]:
    task = {**TASKS[0], "data": {"path": name}, "metric": "exact_match"}
    (folder / "task.yaml").write_text(to_yaml(task))

    def act(content: bytes) -> str:
        (folder / name).write_bytes(content)
        return command("tasks", "show", ".")

    yield Kind(inputs, act)


@kind
def data_jsonl(folder: Path) -> Iterator[Kind]:
    """Examples as JSON lines."""
    lines = files(ROWS, lambda rows: "\n".join(map(json_text, rows if isinstance(rows, list) else [rows])))
    yield from _data(folder, "examples.jsonl", lines)


@kind
def data_json(folder: Path) -> Iterator[Kind]:
    """Examples as one JSON list."""
    yield from _data(folder, "examples.json", files(ROWS, json_text))


def _table(delimiter: str, columns: Sequence[str] = tuple(ROWS[0])) -> Callable[[Any], str]:
    def write(rows: Any) -> str:
        out = io.StringIO()
        dialect = csv.writer(out, delimiter=delimiter)
        dialect.writerow(columns)
        for row in rows:
            dialect.writerow(list(row.values()) if isinstance(row, dict) else [row])
        return out.getvalue()

    return write


@kind
def data_csv(folder: Path) -> Iterator[Kind]:
    """Examples as comma-separated values."""
    yield from _data(folder, "examples.csv", files(ROWS, _table(","), 0.5))


@kind
def data_tsv(folder: Path) -> Iterator[Kind]:
    """Examples as tab-separated values."""
    yield from _data(folder, "examples.tsv", files(ROWS, _table("\t"), 0.5))


REPAIRS = ("trim", "fold_case", "drop_blank", "drop_duplicates", "drop_conflicting")


@kind
def data_people(folder: Path) -> Iterator[Kind]:
    """Tables as people have them: any delimiter and encoding, sampled, repaired, by group or time."""
    rows = [{**row, "customer": n % 4, "at": f"2024-03-{n + 1:02}"} for n, row in enumerate(ROWS)]
    tables = st.sampled_from(",;\t|").flatmap(lambda delimiter: files(rows, _table(delimiter, list(rows[0])), 0.6))
    data = st.fixed_dictionaries(
        {"path": st.just("examples.csv")},
        optional={
            "sample": st.integers(0, 12),
            "repair": st.lists(st.sampled_from((*REPAIRS, "trimm")), max_size=5),
            "sheet": st.just("One"),
        },
    )
    split = st.fixed_dictionaries(
        {}, optional={"group": st.sampled_from(("customer", "kind", "x")), "time": st.sampled_from(("at", "size", ""))}
    )

    def act(made: tuple[bytes, dict[str, Any], dict[str, Any]]) -> str:
        (folder / "examples.csv").write_bytes(made[0])
        task = {**TASKS[0], "metric": "exact_match", "data": made[1], "split": made[2]}
        (folder / "task.yaml").write_text(to_yaml(task))
        return command("tasks", "show", ".")

    yield Kind(st.tuples(tables, data, split), act)


@kind
def data_xlsx(folder: Path) -> Iterator[Kind]:
    """Examples as a workbook: damaged bytes, damaged parts packed anew, and cells of other types."""
    import datetime as dt
    import zipfile

    import openpyxl

    def written(rows: Any) -> bytes:
        book, out = openpyxl.Workbook(), io.BytesIO()
        for row in rows:
            with suppress(ValueError):  # openpyxl itself refuses it
                book.active.append(row)
        book.save(out)
        return out.getvalue()

    whole = written([list(ROWS[0]), *(list(row.values()) for row in ROWS)])
    with zipfile.ZipFile(io.BytesIO(whole)) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}

    def packed_anew(made: tuple[str, bytes]) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as file:
            for name, content in {**parts, made[0]: made[1]}.items():
                file.writestr(name, content)
        return out.getvalue()

    part = st.sampled_from(sorted(parts)).flatmap(lambda name: st.tuples(st.just(name), damaged(parts[name])))
    cell = st.sampled_from((None, "", " ", 1.0, 1e300, True, dt.datetime(2024, 3, 1), dt.time(1), "=1/0", "#N/A", "é"))
    odd = st.tuples(cell, st.integers(0, 4), st.integers(0, len(ROWS)))

    def with_odd(made: tuple[Any, int, int]) -> bytes:
        rows: list[list[Any]] = [list(ROWS[0]), *(list(row.values()) for row in ROWS)]
        rows[made[2]][made[1]] = made[0]
        return written(rows)

    yield from _data(folder, "examples.xlsx", damaged(whole) | part.map(packed_anew) | odd.map(with_odd))


@kind
def data_folder(folder: Path) -> Iterator[Kind]:
    """A folder of texts with a table of labels."""
    import shutil

    rows = [{"file": f"{n}.txt", **row} for n, row in enumerate(ROWS)]
    write = _table(";", list(rows[0]))

    def mostly(whole: Any, odd: st.SearchStrategy[Any], times: int) -> st.SearchStrategy[Any]:
        return st.integers(0, times).flatmap(lambda number: odd if number == times else st.just(whole))

    text = mostly(b"some text", files({"a": "some text"}, json_text), 30)
    table = mostly(write(rows).encode(), files(rows, write), 1)
    pattern = mostly(
        "*.txt", st.sampled_from(("*", "[", "/x", "..", "**", "", "\x00", "*.eml", "1?.txt", "a" * 300)), 2
    )

    def act(made: tuple[list[bytes], bytes, str, bool]) -> str:
        shutil.rmtree(folder / "mails", ignore_errors=True)
        (folder / "mails").mkdir()
        for number, content in enumerate(made[0]):
            (folder / "mails" / f"{number}.txt").write_bytes(b"%d %s" % (number, content))
        (folder / "labels.csv").write_bytes(made[1])
        data = {"folder": "mails", "pattern": made[2], **({"labels": "labels.csv"} if made[3] else {})}
        task = {**TASKS[0], "metric": "exact_match", "data": data}
        (folder / "task.yaml").write_text(to_yaml(task))
        return command("tasks", "show", ".")

    yield Kind(st.tuples(st.lists(text, min_size=12, max_size=12), table, pattern, st.booleans()), act)


@kind
def data_parquet(folder: Path) -> Iterator[Kind]:
    """Examples as Parquet: damaged bytes, and whole files with columns of other types."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def written(table: Any, **options: Any) -> bytes:
        out = io.BytesIO()
        pq.write_table(table, out, **options)
        return out.getvalue()

    whole = [written(pa.Table.from_pylist(ROWS), compression=how) for how in ("none", "snappy", "gzip", "zstd")]
    whole.append(written(pa.Table.from_pylist(ROWS), use_dictionary=False, version="1.0"))
    types = [
        *(pa.int8(), pa.uint64(), pa.float32(), pa.bool_(), pa.binary(), pa.large_string(), pa.date32()),
        *(
            pa.timestamp("ns"),
            pa.timestamp("us", "Asia/Tokyo"),
            pa.decimal128(30, 10),
            pa.duration("s"),
            pa.time64("us"),
        ),
        *(pa.list_(pa.int64()), pa.struct([("a", pa.string())]), pa.map_(pa.string(), pa.int8()), pa.null()),
    ]

    def odd(made: tuple[Any, str, int, int]) -> bytes:
        type_, column, number, rows = made
        columns = {name: [row[name] for row in ROWS[:rows]] for name in ROWS[0]}
        raw = {True: [number % 100] * rows}[True]
        try:
            values = pa.array(raw).cast(type_)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            values = pa.nulls(rows, type_)
        return written(pa.table({**columns, column: values}))

    tables = st.tuples(
        st.sampled_from(types), st.sampled_from([*ROWS[0], "", "other"]), st.integers(0, 2**40), st.integers(0, 12)
    )
    by_bytes = st.sampled_from(whole).flatmap(damaged)
    yield from _data(folder, "examples.parquet", st.one_of(*[by_bytes] * 7, tables.map(odd)))


# --- a saved prompt ------------------------------------------------------------------------------------------------

TARGETS = ("text", "messages", "openai", "anthropic", "dspy", "langchain", "promptfoo", "python")


@kind
def best_json(folder: Path) -> Iterator[Kind]:
    """`metier export best.json` in every form."""
    from optimizer.config.models import ModelConfig
    from optimizer.prompt.saved import dump_prompt
    from optimizer.task.load import load_task
    from optimizer.types import Candidate, Prompt

    (folder / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "task.yaml").write_text(to_yaml({**TASKS[0], "metric": "exact_match"}))
    task = load_task(folder)
    demos = task.train[:2]
    prompts = [
        *(
            Prompt("Sort it.", form, "static", 2, "reversed", demos)
            for form in ("turns", "fields", "block", "chat", "json", "xml")
        ),
        Prompt("Sort it.", "turns", "nearest", 2),
    ]
    model = ModelConfig(model="openai/fake", max_tokens=9)
    valid = [json.loads(dump_prompt(task, Candidate({"predict": one}), model, {"run_id": "x"})) for one in prompts]

    def act(made: tuple[bytes, str]) -> str:
        (folder / "best.json").write_bytes(made[0])
        return command("export", "best.json", "--to", made[1])

    yield Kind(st.tuples(files(tuple(valid), json_text), st.sampled_from(TARGETS)), act)


# --- a ledger ------------------------------------------------------------------------------------------------------

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("status", "run"),
    ("status", "run", "--json"),
    ("audit", "run"),
    ("show", "run", "--trial", "1"),
    ("show", "run", "--json"),
    ("show", "run", "--example", "0"),
    ("compare", "run"),
    ("export", "run", "--to", "text"),
    ("export", "run", "--to", "text", "--trial", "1"),
    ("resume", "run", "--quiet"),
    ("resume", "run", "--quiet", "--set", "seed=2"),
    ("report", "run"),
)
# Each of them so often: a report takes a hundred times as long as the others.
OFTEN = st.sampled_from([*COMMANDS[:-1] * 6, COMMANDS[-1]])


def make_run(folder: Path) -> bytes:
    """Make a run of a small task to its end, and return its ledger's bytes."""
    from support.jobs import lighten, make_task, rule, settings  # of tests/

    from optimizer.config.schema import RunConfig
    from optimizer.job.run import run_config
    from optimizer.testing.fake_server import FakeServer

    lighten(setattr)
    with FakeServer(rule) as server:
        data = settings(
            make_task(folder / "task"), server.api_base, run_dir="run", budget={"calls": 60, "until": "07:00"}
        )
        data["search"] |= {"trials": 4, "objective": ["score", "tokens"]}
        run_config(RunConfig(**data))
    refused = [command(*arguments) for arguments in COMMANDS]
    assert [bool(one) for one in refused] == [False] * (len(COMMANDS) - 2) + [True, False], refused
    return (folder / "run" / "ledger.db").read_bytes()


def _read_run(folder: Path, arguments: Sequence[str]) -> str:
    for file in (folder / "run").glob("ledger.db-*"):
        file.unlink()
    return command(*arguments)


@kind
def ledger_damaged(folder: Path) -> Iterator[Kind]:
    """A run's SQLite file with damaged bytes, by every command that reads it."""
    whole = make_run(folder)

    def act(made: tuple[list[Damage], tuple[str, ...]]) -> str:
        (folder / "run" / "ledger.db").write_bytes(broken(whole, made[0]))
        return _read_run(folder, made[1])

    yield Kind(st.tuples(damages(len(whole)), OFTEN), act)


@kind
def ledger_odd(folder: Path) -> Iterator[Kind]:
    """A run's SQLite file with odd values in rows that are sealed rightly, by every command that reads it."""
    from optimizer.ledger.reader import connect
    from optimizer.ledger.schema import SEALED

    whole, path = make_run(folder), folder / "run" / "ledger.db"
    with closing(connect(path.resolve().as_uri())) as connection:
        cells = [
            (
                table,
                row,
                column,
                connection.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (row,)).fetchone()[0],
            )
            for table, columns in SEALED.items()
            for (row,) in connection.execute(f"SELECT rowid FROM {table} ORDER BY rowid LIMIT 24").fetchall()
            for column in columns
        ]
    meta = [cell for cell in cells if cell[0] == "meta" and cell[2] == "value"]
    trials = [cell for cell in cells if cell[0] == "trials"]

    @st.composite
    def changes(draw: st.DrawFn) -> list[tuple[str, int, str, Any]]:
        made = []
        for _ in range(draw(st.integers(1, 2))):
            table, row, column, was = draw(st.sampled_from(draw(st.sampled_from((meta, trials, cells)))))
            if isinstance(was, str) and was[:1] in ("{", "[") and draw(st.integers(0, 9)):
                odd: Any = json_text(draw(mutated(json.loads(was))))
            else:
                odd = draw(odd_values())
                odd = odd if isinstance(odd, (str, int, float, type(None))) else json_text(odd)
            made.append((table, row, column, odd))
        return made

    def act(made: tuple[list[tuple[str, int, str, Any]], tuple[str, ...]]) -> str:
        path.write_bytes(whole)
        with closing(connect(path.resolve().as_uri())) as connection:
            for table, row, column, odd in made[0]:
                with suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):  # SQLite itself refuses it
                    connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (odd, row))
        return _read_run(folder, made[1])

    yield Kind(st.tuples(changes(), OFTEN), act)


@kind
def run_folder(folder: Path) -> Iterator[Kind]:
    """The other files of a finished run, by the commands that read or renew them."""
    make_run(folder)
    names = ("result.json", "best.json", "report.md", "report.html", "best.md", "ledger.db-wal", "ledger.db.lock")
    result = json.loads((folder / "run" / "result.json").read_text())

    def act(made: tuple[str, bytes, tuple[str, ...]]) -> str:
        file = folder / "run" / made[0]
        file.write_bytes(made[1])
        refused = command(*made[2])
        file.unlink(missing_ok=True)
        return refused

    inputs = st.tuples(
        st.sampled_from(names), files({"a": result}, json_text), st.sampled_from((*COMMANDS[:-2], *[COMMANDS[-4]] * 3))
    )
    yield Kind(inputs, act)


@kind
def shared_cache(folder: Path) -> Iterator[Kind]:
    """The file of answers that all runs share: damaged, or with odd rows that are sealed rightly; a door asks it."""
    from optimizer.ledger.ledger import Ledger
    from optimizer.ledger.shared import COLUMNS, SharedCache, checksum
    from optimizer.testing.fake_server import FakeServer

    path = folder / "answers.db"
    messages: list[str] = []

    def ask() -> str:
        (folder / "ledger.db").unlink(missing_ok=True)
        cache = SharedCache(path, messages.append)
        try:
            with (
                closing(Ledger(folder / "ledger.db")) as ledger,
                _door(ledger, "openai/fake", server.api_base, cache) as door,
            ):
                return _asked(door, "openai/fake", "hello") or _asked(door, "openai/fake", "hello")
        finally:
            cache.close()

    with FakeServer(lambda seen: "hi") as server:
        assert not ask()
        whole = path.read_bytes()
        with closing(sqlite3.connect(path)) as connection:
            response = json.loads(connection.execute("SELECT response FROM answers").fetchone()[0])
        odd = st.tuples(st.sampled_from(COLUMNS[1:]), odd_values()) | st.tuples(
            st.just("response"), mutated(response).map(json_text)
        )

        def act(made: Any) -> str:
            path.with_name("answers.db-wal").unlink(missing_ok=True)
            path.write_bytes(made if isinstance(made, bytes) else whole)
            if not isinstance(made, bytes):
                column, value = made
                value = value if isinstance(value, (str, int, float, type(None))) else json_text(value)
                with closing(sqlite3.connect(path)) as connection:
                    try:
                        connection.execute(f"UPDATE answers SET {column} = ?", (value,))
                    except (sqlite3.Error, OverflowError, UnicodeEncodeError):
                        return "SQLite refuses it"
                    row = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM answers").fetchone()
                    connection.execute("UPDATE answers SET seal = ?", (checksum(*row),))
                    connection.commit()
            messages.clear()
            refused = ask()
            return "\n".join([*map(sound, messages), *filter(None, [refused])])

        yield Kind(damaged(whole) | odd, act)


# --- replies -------------------------------------------------------------------------------------------------------

REPLIES: dict[str, tuple[dict[str, Any], ...]] = {
    "openai": (
        {
            "id": "c-1",
            "object": "chat.completion",
            "created": 1,
            "model": "fake",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": 5,
                "completion_tokens": 2,
                "total_tokens": 7,
                "prompt_tokens_details": {"cached_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        },
        {
            "id": "c-2",
            "model": "fake",
            "choices": [
                {
                    "message": {
                        "role": "assistant",
                        "content": [{"type": "text", "text": "hi"}, {"type": "refusal", "refusal": "no"}],
                        "reasoning_content": "hm",
                        "annotations": [{"type": "url_citation", "url_citation": {"url": "http://x", "title": "t"}}],
                        "tool_calls": [
                            {
                                "id": "t",
                                "type": "function",
                                "function": {"name": "f", "arguments": '{"a": [1, {"b": 2}]}'},
                            }
                        ],
                    },
                    "logprobs": {"content": [{"token": "h", "logprob": -0.1, "bytes": [104], "top_logprobs": []}]},
                    "finish_reason": "tool_calls",
                }
            ],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2},
        },
        {"error": {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded", "param": None}},
    ),
    "anthropic": (
        {
            "id": "m-1",
            "type": "message",
            "role": "assistant",
            "model": "fake",
            "content": [
                {"type": "text", "text": "hi", "citations": None},
                {"type": "thinking", "thinking": "hm", "signature": "s"},
            ],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": 5,
                "output_tokens": 2,
                "cache_read_input_tokens": 1,
                "cache_creation_input_tokens": 0,
            },
        },
        {
            "id": "m-2",
            "type": "message",
            "role": "assistant",
            "model": "fake",
            "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1, {"b": 2}]}}],
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 5, "output_tokens": 2},
        },
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    ),
    "gemini": (
        {
            "candidates": [
                {
                    "content": {"role": "model", "parts": [{"text": "hi"}, {"thought": True, "text": "hm"}]},
                    "finishReason": "STOP",
                    "index": 0,
                    "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}],
                }
            ],
            "usageMetadata": {
                "promptTokenCount": 5,
                "candidatesTokenCount": 2,
                "totalTokenCount": 7,
                "thoughtsTokenCount": 1,
            },
            "modelVersion": "fake",
            "responseId": "g-1",
        },
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}},
        {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED", "details": []}},
    ),
}
STATUSES = (200,) * 12 + (
    201,
    204,
    206,
    301,
    307,
    400,
    401,
    403,
    404,
    408,
    413,
    418,
    429,
    500,
    502,
    503,
    504,
    529,
    599,
    999,
)
DATES = (
    *("7", "0", "-1", "1e309", "nan", "1m30s", "999999999999999999d", "Wed, 21 Oct 2015 07:28:00 GMT", "", "soon", "٣"),
    *(
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Thu, 01 Jan 0001 00:00:00 +2359",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
    ),
    *("Mon, 32 Foo 99999 99:99:99 GMT", "2026-01-01", "1" * 5_000, "1e5", "\x80"),
)
HEADERS = (
    *("Retry-After", "retry-after-ms", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"),
    *(
        "x-ratelimit-reset-requests",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
    ),
    *(
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-tokens-reset",
    ),
    *("Content-Type", "Content-Encoding", "Content-Length", "Transfer-Encoding", "Location", "Set-Cookie", "X-Long"),
)
VALUES = (
    *DATES,
    *(
        "application/json",
        "text/html; charset=utf-7",
        "application/json; charset=nonsense",
        "gzip",
        "br",
        "deflate",
        "zstd",
    ),
    *("chunked", "identity", "http://127.0.0.1:9/", "a" * 9_000, "a=b; Max-Age=99999999999999999999", "5", "100000000"),
)


# It makes a reply of more than twenty million bytes, or one that only claims to be small. What stands for it is drawn:
# hypothesis keeps all that it draws.
_STANDS_FOR_LARGE = b', "more": ["large"]}'
_LARGE = b', "more": [' + b",".join([b'"' + b"x" * 999_996 + b'"'] * 21) + b"]}"


def _grown(reply: bytes) -> bytes:
    return reply.replace(_STANDS_FOR_LARGE, _LARGE)


@st.composite
def http_replies(draw: st.DrawFn, valid: tuple[dict[str, Any], ...]) -> bytes:
    """Return a whole HTTP reply: odd status, odd headers, a body like a valid one."""
    import gzip

    body = draw(files(valid, json_text))
    if draw(st.integers(0, 499)) == 0:
        body = json_text(valid[0])[:-1].encode() + _STANDS_FOR_LARGE
    names = draw(st.lists(st.tuples(st.sampled_from(HEADERS), st.sampled_from(VALUES)), max_size=3))
    headers = {"Content-Type": "application/json", **dict(names)}
    if headers.get("Content-Encoding") in ("gzip", "deflate") and draw(st.booleans()):
        body = gzip.compress(body)
    if headers.get("Transfer-Encoding") == "chunked" and draw(st.booleans()):
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part) + b"0\r\n\r\n"
    elif "Content-Length" not in headers and draw(st.integers(0, 3)):
        headers["Content-Length"] = str(len(_grown(body)))
    lines = [f"HTTP/1.1 {draw(st.sampled_from(STATUSES))} X", *(f"{name}: {value}" for name, value in headers.items())]
    reply = "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n" + body
    return draw(damaged(reply)) if draw(st.integers(0, 9)) == 0 else reply


def _replies(folder: Path, model: str, valid: tuple[dict[str, Any], ...], base: str) -> Iterator[Kind]:
    """Ask a real door, which has a ledger, once for each reply."""
    from optimizer.ledger.ledger import Ledger
    from optimizer.testing.fake_server import FakeServer
    from optimizer.testing.faults import Fault

    count = 0
    with FakeServer(lambda seen: "hi") as server, closing(Ledger(folder / "ledger.db")) as ledger:

        def act(reply: bytes) -> str:
            nonlocal count
            count += 1
            server.break_down(Fault("raw", body=_grown(reply)))
            with _door(ledger, model, f"{server.url}{base}") as door:
                refused = _asked(door, model, f"call {count}")
                door.connections.limits()
                return refused

        yield Kind(http_replies(valid), act)


@contextmanager
def _door(ledger: Any, model: str, base: str, cache: Any = None) -> Iterator[Any]:
    """Open the real door to a model at an address; what fails is not tried again."""
    from optimizer.config.models import ModelConfig
    from optimizer.config.schema import BudgetConfig, Failures
    from optimizer.door.budget import Budget
    from optimizer.door.door import Door
    from optimizer.models.prices import Price
    from optimizer.models.providers import remote

    endpoint = remote(ModelConfig(model=model, api_base=base), 4.0, 2)
    budget, price = Budget(BudgetConfig(usd=1e9)), Price(1e-6, 1e-6)
    door = Door(ledger, budget, {"task": endpoint}, {"task": price}, Failures(retries=0), cache)
    try:
        yield door
    finally:
        door.close()


def _asked(door: Any, model: str, text: str) -> str:
    """Ask a door; returns "" where it answers, the message where the call failed; raises what else ended it."""
    import dspy
    from dspy.lm15 import Config, Message, Request

    asked = Request(model, (Message.user(text),), config=Config(max_tokens=10))
    with dspy.context(disable_history=True):  # as in a run
        problem = door.submit("task", asked).exception(50)
    if problem is not None and not isinstance(problem, (CallError, StoppedByFailures)):
        raise problem
    return "" if problem is None else sound(str(problem))


@kind
def reply_openai(folder: Path) -> Iterator[Kind]:
    """Replies in OpenAI's protocol to our own wire, behind the real door."""
    yield from _replies(folder, "openai/fake", REPLIES["openai"], "/v1")


@kind
def reply_anthropic(folder: Path) -> Iterator[Kind]:
    """Replies in Anthropic's protocol to our own wire, behind the real door."""
    yield from _replies(folder, "anthropic/fake", REPLIES["anthropic"], "")


@kind
def reply_gemini(folder: Path) -> Iterator[Kind]:
    """Replies in Gemini's protocol to DSPy's wire, behind the real door."""
    yield from _replies(folder, "gemini/fake", REPLIES["gemini"], "")


@kind
def reply_ollama(folder: Path) -> Iterator[Kind]:
    """Replies in OpenAI's protocol, which Ollama speaks, too, to DSPy's wire, behind the real door."""
    yield from _replies(folder, "ollama_chat/fake", REPLIES["openai"], "/v1")


# --- the environment, and small files ------------------------------------------------------------------------------

ADDRESSES = (
    *(
        "http://127.0.0.1:9/v1",
        "https://user:pass@host/v1",
        "http://[::1]:9",
        "http://[::1",
        "http://x:99999",
        "http://x:y",
    ),
    *(
        "ftp://x",
        "x",
        "//x",
        "http://",
        "http:///v1",
        "http://\x00",
        "http://a b",
        "http://é.example",
        "http://xn--",
        " ",
    ),
    *(
        "http://" + "a" * 300,
        "http://a..b",
        "http://%zz",
        "http://x?y#z",
        "http://user@",
        "http://:pw@h",
        "HTTP://X",
        "\x1b[2J",
    ),
    *(
        "http://" + "a." * 5_000,
        "http://x/" + "a" * 20_000,
        "sqlite:///x.db",
        "sqlite:////dev/zero",
        "sqlite://",
        "file:///x",
    ),
    *(
        "postgresql://u:p@h/d",
        "databricks",
        "databricks://x",
        "http://1.2.3.4.5",
        "http://0x7f",
        "http://x\r\nX: y",
        "http://x\ud800",
    ),
)
VARIABLES = (
    *(
        "OPENAI_BASE_URL",
        "OPENAI_API_BASE",
        "ANTHROPIC_API_BASE",
        "ANTHROPIC_BASE_URL",
        "GEMINI_API_BASE",
        "OPENAI_API_KEY",
    ),
    *(
        "OPENAI_ORGANIZATION",
        "HF_ENDPOINT",
        "METIER_CACHE",
        "MLFLOW_TRACKING_URI",
        "HTTP_PROXY",
        "http_proxy",
        "NO_PROXY",
    ),
    *("OLLAMA_API_BASE", "AZURE_API_BASE", "OPENAI_PROJECT", "ALL_PROXY", "PIP_INDEX_URL"),
)


@kind
def environment(folder: Path) -> Iterator[Kind]:
    """Variables that name addresses, keys and folders: an endpoint is made and asked; nothing leaves the machine."""
    import asyncio
    import socket

    import litellm  # noqa: F401 - it takes seconds
    from dspy.lm15 import Config, Message, Request

    from optimizer.config.models import ModelConfig
    from optimizer.models.hub import default_endpoint
    from optimizer.models.providers import remote
    from optimizer.models.store import Store
    from optimizer.track.address import checked

    def offline(*arguments: Any, **options: Any) -> Any:
        raise socket.gaierror(-2, "no network here")

    async def ask(endpoint: Any) -> None:
        from optimizer.door.failures import classify

        wire = endpoint.dial(lambda headers: None)
        try:
            asked = Request(endpoint.model, (Message.user("hi"),), config=Config(max_tokens=10))
            await asyncio.wait_for(wire.acall(asked), 2)
        except Exception as problem:
            error = classify(problem)
            if error is None and not isinstance(problem, TimeoutError):
                raise
        finally:
            await wire.aclose()

    text = (
        st.sampled_from(ADDRESSES)
        | st.text(max_size=30)
        | st.sampled_from(ADDRESSES).flatmap(
            lambda one: damaged(one.encode("utf-8", "replace")).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
        )
    )
    models = ("openai/fake", "anthropic/fake", "gemini/fake", "ollama_chat/fake", "azure/fake")

    def act(made: tuple[list[tuple[str, str]], str, str | None]) -> str:
        variables, model, base = made
        before = dict(os.environ)
        resolve, socket.getaddrinfo = socket.getaddrinfo, offline
        try:
            os.environ["OPENAI_API_KEY"] = os.environ["ANTHROPIC_API_KEY"] = "key"
            for name, value in variables:
                try:
                    os.environ[name] = value
                except (ValueError, UnicodeEncodeError):
                    return "no environment can hold it"
            default_endpoint()
            actions = (
                lambda: asyncio.run(ask(remote(ModelConfig(model=model, api_base=base), 2.0, 1))),
                lambda: checked(os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///x.db")),
                lambda: Store().path("local/smollm2-135m"),
            )
            return "\n".join(filter(None, map(refusal, actions)))
        finally:
            socket.getaddrinfo = resolve
            os.environ.clear()
            os.environ.update(before)

    pairs = st.lists(st.tuples(st.sampled_from(VARIABLES), text), max_size=3)
    yield Kind(st.tuples(pairs, st.sampled_from(models[:2]), st.none() | text), act)


@kind
def seals(folder: Path) -> Iterator[Kind]:
    """The store's note of files that were hashed."""
    from optimizer.models.seals import Seals, sha256_of

    model = folder / "model.gguf"
    model.write_bytes(b"GGUF")
    note = folder / "seals.json"
    right = sha256_of(model)
    assert Seals(note).holds(model, right)
    valid = json.loads(note.read_text())

    def act(content: bytes) -> str:
        note.write_bytes(content)
        Seals(note).recorded(model)
        assert Seals(note).holds(model, right)
        note.write_bytes(content)
        assert not Seals(note).holds(model, "0" * 64) or b"0" * 64 in content
        return ""

    yield Kind(files(valid, json_text), act)


@kind
def gguf(folder: Path) -> Iterator[Kind]:
    """A model's file, as far as it is looked at before it is served."""
    from optimizer.models.store import Store

    file = folder / "model.gguf"
    head = b"GGUF" + (3).to_bytes(4, "little") + (0).to_bytes(8, "little") + (0).to_bytes(8, "little") + bytes(64)

    def act(content: bytes) -> str:
        file.write_bytes(content)
        return refusal(lambda: Store(folder / "store").resolve(str(file)))

    yield Kind(damaged(head), act)
