from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.traces import BEGUN, MINUTE, Logged, human, log, tickets

from optimizer.errors import TaskError
from optimizer.system.redact import scrub
from optimizer.task.load import load_task
from optimizer.task.rows import Reading, Row
from optimizer.task.schema import MlflowSpec
from optimizer.task.sources import sources_of
from optimizer.task.traces import Window, address_of, described, read_traces
from optimizer.track.connect import connect

from .conftest import WriteTask

# MLflow's own code is not free of warnings.
pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]

PASSWORD = "hunter2-and-more"
URI = "sqlite:///mlflow.db"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of 40 traces of tickets that people assessed, and others; to be copied."""
    path = tmp_path_factory.mktemp("traces") / "mlflow.db"
    uri = f"sqlite:///{path}"
    log(uri, "support", tickets(40))
    client, runs = connect(uri, "support")
    ours, others = client.create_run(runs), client.create_run(runs)
    client.set_tag(ours.info.run_id, "metier.run_id", "abc")
    said = [human("expectation", "intent", "bill")]
    metadata = [{"mlflow.sourceRun": run.info.run_id} for run in (ours, others)]
    traces = [Logged(300 + n, {"message": "own"}, None, said, {}, metadata[0], "winner test") for n in range(3)]
    log(uri, "support", [*traces, Logged(311, {"message": "other"}, None, said, {}, metadata[1], "load test")])
    log(uri, "unassessed", [Logged(400, {"message": "x"}, {"intent": "bill"}, [human("feedback", "nice", 1)])])
    connect(uri, "blank")
    return path


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copy(made, tmp_path / "mlflow.db")
    return tmp_path


def read(folder: Path, reading: Reading | None = None, window: Window | None = None, **keys: Any) -> list[Row]:
    spec = MlflowSpec(**{"experiment": "support", "tracking_uri": URI} | keys)
    return read_traces(spec, {"intent": "intent"}, folder, reading or Reading(), window)


def test_traces_that_people_assessed_are_rows(folder: Path) -> None:
    reading = Reading()
    rows = read(folder, reading)
    assert len(rows) == 31
    first, third = rows[0].values, rows[2].values
    assert first == {
        "message": "message 0",
        "intent": "bill",
        "response": {"intent": "card"},
        "trace_id": tickets(1)[0].trace_id,
        "trace_time": "2026-01-01T00:00:00.000+00:00",
        "trace_name": "answer",
        "trace_session": "s0",
        "tags.product": "shop",
        "expectation.intent": "bill",
        "expectation.intent.source": "human",
        "feedback.helpful": 0,
        "feedback.helpful.source": "llm_judge",
    }
    assert rows[0].origin == f"trace {first['trace_id']}"
    assert (third["message"], third["intent"], third["feedback.correct"]) == ("message 2", "loan", True)
    assert [row.values["trace_time"] for row in rows] == sorted(row.values["trace_time"] for row in rows)
    assert rows[-1].values["message"] == "other"  # "… test" of a run that is not metier's
    assert reading.notes == [
        "mlflow: support: 10 of 44 traces left out: without an expectation 'intent' and without feedback 'correct' = "
        "True (by human)",
        "mlflow: support: 3 traces left out that metier wrote for its own runs",
    ]


def test_a_task_of_traces(folder: Path, write_task: WriteTask) -> None:
    mlflow = {"experiment": "support", "filter": "tag.product = 'shop'", "tracking_uri": URI}
    split = {"time": "trace_time"}
    task = load_task(write_task(data={"mlflow": mlflow}, split=split))
    assert (len(task.train), len(task.validation), len(task.test)) == (8, 6, 6)
    sources = sources_of(task)
    assert [one["file"] for one in sources["files"]] == ["task.yaml"]
    traces = sources["traces"]
    assert (traces["mlflow"], traces["experiment"]) == ("sqlite mlflow.db", "support")
    assert (traces["filter"], traces["traces"], traces["looked_through"]) == ("tag.product = 'shop'", 20, 20)
    assert len(traces["digest"]) == 16
    assert traces["newest"] == "2026-01-01T00:38:00.000+00:00"
    grouped = load_task(write_task(data={"mlflow": mlflow}, split={"group": "trace_session"}, slices=["tags.product"]))
    assert len(grouped.train) + len(grouped.validation) + len(grouped.test) == 20


def test_a_second_night_has_the_new_traces_only(folder: Path, write_task: WriteTask) -> None:
    mlflow = {"experiment": "support", "filter": "tag.product = 'shop'", "tracking_uri": URI}
    first = load_task(write_task(data={"mlflow": mlflow}), window=Window(as_of="2026-01-01T00:19Z"))
    since = first.origin["traces"]["newest"]
    second = load_task(write_task(data={"mlflow": mlflow | {"since": since}}))
    messages = [{example.inputs["message"] for example in (*t.train, *t.validation, *t.test)} for t in (first, second)]
    assert [len(one) for one in messages] == [10, 10]
    assert messages[0].isdisjoint(messages[1])
    last = load_task(write_task(data={"mlflow": mlflow | {"since": "last run"}}), window=Window(since=since))
    assert (last.train, last.test) == (second.train, second.test)
    assert last.notes[0] == f"mlflow: support: traces since the last run: {since}"
    every = load_task(write_task(data={"mlflow": mlflow | {"since": "last run"}}))
    assert every.notes[0].endswith("all are read, as no run of this task is known here")
    assert every.origin["traces"]["since"] is None


def test_what_came_later_is_not_seen_as_of_a_moment(folder: Path) -> None:
    moment, uri, window = BEGUN + 400 * MINUTE, f"sqlite:///{folder}/mlflow.db", Window(as_of="2026-01-01T06:40Z")
    before, late = read(folder, window=window), [human("feedback", "correct", True, moment + 1)]
    new = Logged(401, {"message": "new"}, {"intent": "bill"}, [human("feedback", "correct", True)])
    log(uri, "support", [new, Logged(310, {"message": "late"}, {"intent": "bill"}, late)])
    assert read(folder, window=window) == before
    assert {"new", "late"} <= {row.values["message"] for row in read(folder)}


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ({"since": "2026-01-01T00:20Z"}, 15),
        ({"since": "2026-01-01T01:20:00+01:00"}, 15),
        ({"until": "2026-01-01T00:09"}, 8),
        ({"approved": {"feedback": "helpful", "at_least": 3}}, 21),
        ({"approved": {"feedback": "helpful", "at_least": 3}, "sources": ["human", "llm_judge"]}, 29),
        ({"approved": {"value": False}}, 31),
        ({"filter": "feedback.correct = 'true'"}, 10),
        ({"limit": 24}, 16),
        ({"limit": 7}, 3),
    ],
)
def test_which_traces_count(folder: Path, keys: dict[str, Any], count: int) -> None:
    assert len(read(folder, **keys)) == count


def test_a_sample_and_pages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(folder)
    monkeypatch.setattr("optimizer.task.traces.PAGE", 7)
    monkeypatch.setattr("optimizer.task.traces.BATCH", 3)
    assert read(folder) == whole
    reading = Reading(sample=20)
    rows = read(folder, reading)
    assert len(rows) == 20
    assert all(row in whole for row in rows)
    assert "20 of 31 rows drawn by the seed 0" in reading.notes[0]
    assert rows == read(folder, Reading(sample=20))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"experiment": "suport"}, r"sqlite mlflow.db has no experiment 'suport'\n.*did you mean 'support'"),
        ({"experiment": "blank"}, r"'blank' of sqlite mlflow.db has no traces\n.*Log some"),
        ({"filter": "tag.product ~ 1"}, r"the filter 'tag.product ~ 1' is refused \(.*\n.*Correct data.mlflow.filter"),
        ({"filter": "tag.product = 'shop' OR tag.product = 'bank'"}, r"is refused .*\n.*no OR"),
        ({"filter": "tag.product = 'car'"}, r"has no traces that fit filter \"tag.product = 'car'\""),
        ({"since": "2027-01-01"}, r"has no traces that fit since '2027-01-01'"),
        (
            {"experiment": "unassessed"},
            r"has 1 traces, all without an expectation 'intent' and without feedback 'correct' = True \(by human\)\n"
            r".*Let people assess.*Its assessments: feedback 'nice' by human \(1 traces\)",
        ),
        ({"tracking_uri": "sqlite:///mlflo.db"}, r"mlflow: mlflo.db: no such file\n.*did you mean 'mlflow.db'"),
        ({"tracking_uri": "sqlite://"}, "names no file"),
        ({"tracking_uri": "http://127.0.0.1:1"}, r"http://127.0.0.1:1 cannot be read \(.*\n.*Start MLflow"),
        ({"tracking_uri": "file:///tmp"}, "data.mlflow.tracking_uri is no address of an MLflow"),
        ({"tracking_uri": "NO_SUCH_VARIABLE"}, "the environment variable NO_SUCH_VARIABLE is not set"),
        ({"tracking_uri": None}, "the environment variable MLFLOW_TRACKING_URI is not set"),
        ({"tracking_uri": "sqlite:///other.db"}, r"other.db is no database of MLflow's \(no such table"),
    ],
)
def test_what_is_refused(folder: Path, keys: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with closing(sqlite3.connect(folder / "other.db")) as other:
        other.execute("CREATE TABLE tickets (id INTEGER)")
    with pytest.raises(TaskError, match=message) as caught:
        read(folder, **keys)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("scheme", ["http", "https", "postgresql", "mysql+pymysql", "nonsense"])
def test_no_message_has_the_password(
    scheme: str, named: bool, write_task: WriteTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{scheme}://ann:{PASSWORD}@127.0.0.1:1/shop?sslpassword={PASSWORD}"
    monkeypatch.setenv("TRACES", url)
    forms: list[Any] = [{"experiment": "support", "tracking_uri": "TRACES" if named else url}]
    if not named:
        forms += [url, [url], {"experiment": "x", "tracking_uri": [url]}]
    for form in forms:
        with pytest.raises(TaskError) as caught:
            load_task(write_task(data={"mlflow": form}))
        assert PASSWORD not in str(caught.value)


def test_an_address_is_described_without_secrets(tmp_path: Path) -> None:
    spec = MlflowSpec(experiment="x", tracking_uri="https://ann:pass-word-2@host:5000/team?token=to-ken-3")
    assert described(address_of(spec, tmp_path)) == "https://host:5000/team"
    assert scrub("pass-word-2 to-ken-3") == "*** ***"
    assert described("databricks") == "databricks"


ODD: list[tuple[Any, Any]] = [
    (None, None),
    (None, {"intent": "bill"}),
    ("{", "}"),
    ("NaN", '{"intent": NaN}'),
    ('"plain"', '"bill"'),
    ("[1, 2]", "[]"),
    ('{"message": null}', "null"),
    ({"message": {"nested": [{"a": [1]}]}}, {"intent": {"nested": 1}}),
    ({"message": "x" * 1_000_000}, {"intent": "bill"}),
    ("[" * 500 + "]" * 500, '{"intent": "bill"}'),
    ({"trace_id": "mine", "intent": "mine", "message": "m"}, {"message": "his", "intent": "bill"}),
    ({"message": "\ud83d"}, {"intent": "bill"}),
]


def test_odd_traces_become_rows_or_are_told(folder: Path, write_task: WriteTask) -> None:
    said = [human("feedback", "correct", True), human("expectation", "other", {"a": [1, None]})]
    traces = [Logged(n, inputs, outputs, said) for n, (inputs, outputs) in enumerate(ODD, 500)]
    log(f"sqlite:///{folder}/mlflow.db", "odd", traces)
    reading = Reading()
    rows = {row.values["trace_id"]: row.values for row in read(folder, reading, experiment="odd")}
    by_number = {n: rows.get(one.trace_id) for n, one in enumerate(traces)}
    assert by_number[0] is None
    assert by_number[4] is not None
    assert (by_number[4]["text"], by_number[4]["intent"]) == ("plain", "bill")
    assert by_number[10] is not None
    assert by_number[10]["trace_id"] == traces[10].trace_id
    assert (by_number[10]["message"], by_number[10]["intent"]) == ("m", "bill")
    mlflow = {"experiment": "odd", "tracking_uri": URI}
    with pytest.raises(TaskError, match=r"trace tr-\w+: 'message'"):
        load_task(write_task(data={"mlflow": mlflow}))


def test_where_few_traces_count_it_is_told_why(folder: Path, write_task: WriteTask) -> None:
    mlflow = {"experiment": "support", "tracking_uri": URI, "since": "2026-01-01T00:36Z", "until": "2026-01-01T01:00Z"}
    with pytest.raises(TaskError, match=r"2 examples give .*\n(.*\n)*.*1 of 3 traces left out: without an expectation"):
        load_task(write_task(data={"mlflow": mlflow}))


def test_what_was_overridden_counts_until_then(folder: Path) -> None:
    one = Logged(700, {"message": "m"}, {"intent": "bill"})
    first = human("feedback", "correct", True, valid=False)
    later = human("feedback", "correct", False, BEGUN + 800 * MINUTE, overrides=one.assessment_id(0))
    one.assessments = [first, later]
    kept = Logged(701, {"message": "n"}, {"intent": "bill"}, [human("feedback", "correct", True)])
    log(f"sqlite:///{folder}/mlflow.db", "overridden", [one, kept])
    for moment, messages in (("2026-01-01T13:00Z", ["m", "n"]), ("2026-01-01T14:00Z", ["n"])):
        rows = read(folder, window=Window(as_of=moment), experiment="overridden")
        assert [row.values["message"] for row in rows] == messages
