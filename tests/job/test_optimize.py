"""The front door from Python: what it takes, that all ways are one, and what each wrong use is told."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dspy
import pytest
from support.jobs import lighten, make_task, rule, settings, write_config

import optimizer as metier
from job.made import FRAME, SEARCH, asked
from optimizer.config.schema import RunConfig
from optimizer.config.strict import validate
from optimizer.errors import ConfigError, MetierError
from optimizer.job.arguments import read_arguments
from optimizer.ledger.reader import Reader
from optimizer.testing.fake_server import FakeServer

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer(rule) as running:
        yield running


async def async_rule(messages: list[dict[str, Any]]) -> str:
    await asyncio.sleep(0)
    return rule(messages)


def shape_of(folder: Path) -> list[tuple[Any, ...]]:
    """Return what the trials of a run were and how they ended."""
    with closing(Reader(folder / "ledger.db")) as ledger:
        rows = ledger.read("SELECT number, candidate, state, score FROM trials ORDER BY number")
    return [tuple(row) for row in rows]


@pytest.mark.slow
def test_all_kinds_of_models_and_jobs_make_the_same_run(tmp_path: Path, server: FakeServer) -> None:
    named = {"task": {"model": "openai/fake", "api_base": server.api_base}, "concurrency": 4}
    lm = dspy.LM("openai/fake", api_base=server.api_base, api_key="none", temperature=0.0)
    task = metier.Task(**{k: v for k, v in asked(tmp_path).items() if k in _TASK})
    rest = {k: v for k, v in asked(tmp_path).items() if k not in _TASK}
    folder = tmp_path / "task"
    make_task(folder, split=None)
    options = {k: v for k, v in rest.items() if k not in ("progress", "run_dir")}
    written = {**options, "task": str(folder), "models": named, "budget": {"calls": 60}}
    yaml = write_config(tmp_path / "run.yaml", written)
    results = [
        metier.optimize(**asked(tmp_path / "a", model=rule)),
        metier.optimize(**asked(tmp_path / "b", model=async_rule, budget={"calls": 60})),
        metier.optimize(**asked(tmp_path / "c", model=lm, models={"concurrency": 4})),
        metier.optimize(**asked(tmp_path / "d", models=named)),
        metier.optimize(task, model=rule, **{**rest, "run_dir": str(tmp_path / "e" / "run")}),
        metier.optimize(folder, model=rule, **{**rest, "run_dir": str(tmp_path / "f" / "run")}),
        metier.optimize(str(yaml), run_dir=str(tmp_path / "g" / "run"), progress=False),
        metier.optimize(
            validate(RunConfig, written, "x", ConfigError), run_dir=str(tmp_path / "h" / "run"), progress=False
        ),
    ]
    shapes = [shape_of(result.run_dir) for result in results]
    assert len(shapes[0]) == 4
    assert all(shape == shapes[0] for shape in shapes)
    assert {result.verdict for result in results} == {"improved"}
    assert all((result.run_dir / "study.db").is_file() for result in results)
    said = {str(result.prompt(text="the far store has owl").kind) for result in results}
    assert said == {"bird"}


_TASK = ("examples", "inputs", "outputs", "instruction", "metric")


def test_it_works_inside_a_running_loop_and_a_finished_run_is_read(tmp_path: Path) -> None:
    async def notebook() -> metier.Result:
        return metier.optimize(**asked(tmp_path, model=rule))

    first = asyncio.run(notebook())
    calls = []

    def never(messages: Any) -> str:
        calls.append(messages)
        return "fruit"

    again = metier.optimize(**asked(tmp_path, model=rule))
    assert again.report == first.report
    assert "tokens" in " ".join(first.report.notes)
    assert calls == []


def test_the_async_form_leaves_the_loop_free(tmp_path: Path) -> None:
    async def notebook() -> tuple[metier.Result, int]:
        ticks = 0
        task = asyncio.create_task(metier.optimize_async(**asked(tmp_path, model=async_rule)))
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return await task, ticks

    result, ticks = asyncio.run(notebook())
    assert result.verdict == "improved"
    assert ticks > 3


def test_a_cancelled_task_stops_the_run_in_order_and_it_goes_on(tmp_path: Path) -> None:
    begun = threading.Event()

    def slow(messages: list[dict[str, Any]]) -> str:
        begun.set()
        time.sleep(0.05)
        return rule(messages)

    async def notebook() -> None:
        task = asyncio.create_task(metier.optimize_async(**asked(tmp_path, model=slow)))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(notebook())
    with closing(Reader(tmp_path / "run" / "ledger.db")) as ledger:
        assert ledger.meta("result") is None
        assert not ledger.is_being_written()
        states = {row["state"] for row in ledger.read("SELECT state FROM calls")}
    assert "done" in states
    assert "intent" not in states
    assert metier.optimize(**asked(tmp_path, model=slow)).verdict == "improved"


class Sorter(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sort = dspy.Predict(dspy.Signature("text -> kind", "Sort it."))

    def forward(self, text: str) -> dspy.Prediction:
        return self.sort(text=text)


def test_a_program_in_memory_and_a_function_as_metric(tmp_path: Path) -> None:
    def same(example: Any, answer: Any) -> bool:
        return bool(example.kind == answer.kind)

    given = asked(tmp_path, model=rule, program=Sorter(), instruction=None, outputs=["kind"], metric=same)
    result = metier.optimize(**given)
    assert result.prompt(text="the far store has owl").kind in ("fruit", "metal", "bird")
    assert json.loads((result.run_dir / "best.json").read_text())["program"] == {"module": "Sorter"}


def test_a_budget_is_kept_to_and_a_yaml_files_sections_can_be_changed(tmp_path: Path, server: FakeServer) -> None:
    data = settings(make_task(tmp_path / "task"), server.api_base)
    yaml = write_config(tmp_path / "run.yaml", data)
    arguments = read_arguments(yaml, {}, None, 50, {"search": {"trials": 3}, "seed": 7})
    config = arguments.config
    assert (config.budget.calls, config.search.trials, config.seed) == (50, 3, 7)
    assert (config.search.formats, config.models.api_base) == (("turns", "block"), server.api_base)
    assert read_arguments(yaml, {}, "openai/other", None, {}).config.models.task.model == "openai/other"
    mixed = read_arguments(yaml, {}, rule, None, {"models": {"prompt": "openai/writer"}})
    assert list(mixed.endpoints) == ["task"]
    assert mixed.config.models.by_key["prompt"].model == "openai/writer"
    assert mixed.config.models.task.model == "callable/rule"


def test_a_function_that_returns_no_text_is_named(tmp_path: Path) -> None:
    def silent(messages: Any) -> None:
        return None

    with pytest.raises(MetierError, match="the model silent returned None, not text"):
        metier.optimize(**asked(tmp_path, model=silent))


def test_a_function_that_always_fails_ends_the_run_with_its_words(tmp_path: Path) -> None:
    def broken(messages: Any) -> str:
        raise KeyError("api_key")

    with pytest.raises(MetierError, match="the model broken raised KeyError: 'api_key'"):
        metier.optimize(**asked(tmp_path, model=broken))


HOLE = FRAME.astype(object)
HOLE.loc[3, "kind"] = float("nan")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"examples": None}, ["inputs", "Call optimize(examples="]),
        ({"inputs": ["txt"]}, ["no column 'txt'", "did you mean 'text'?"]),
        ({"outputs": None}, ["outputs are missing", "Name them, as in outputs="]),
        ({"metric": 0.5}, ["metric: 0.5 cannot be called", "exact_match"]),
        ({"model": 3}, ["model is 3, of type int", "messages -> text"]),
        ({"model": Sorter()}, ["of type Sorter", "messages -> text"]),
        ({"models": {"prompt": 3}}, ["models['prompt'] is 3"]),
        ({"models": 3}, ["models is 3"]),
        ({"model": rule, "models": {"task": "openai/x"}}, ["both given"]),
        ({"bugdet": 300}, ["unknown option 'bugdet'", "did you mean 'budget'?"]),
        ({"search": {"trails": 3}}, ["unknown key 'search.trails'", "did you mean 'trials'?"]),
        ({"budget": "many"}, ["budget is 'many', of type str", "{'calls': 300"]),
        ({"budget": True}, ["budget is True, of type bool"]),
        ({"budget": 3}, ["budget.calls=3 is too small"]),
        ({"examples": FRAME[:0]}, ["examples is empty"]),
        ({"examples": HOLE}, ["examples row 3: 'kind' is NaN", "dropna"]),
        ({"outputs": {"kind": ["fruit", "metal"]}}, ["'kind' is 'bird', not one of the choices"]),
    ],
)
def test_each_wrong_use_has_one_clear_message(changes: dict[str, Any], told: list[str], tmp_path: Path) -> None:
    with pytest.raises(MetierError) as problem:
        metier.optimize(**{**asked(tmp_path, model=rule), **changes})
    message = str(problem.value)
    assert [part for part in told if part not in message] == []
    assert list(tmp_path.iterdir()) == [], "something was begun"


def test_no_examples_at_all() -> None:
    with pytest.raises(ConfigError, match="there are no examples, and no task or config"):
        metier.optimize()


def test_what_is_no_job_or_two_jobs_is_refused(tmp_path: Path) -> None:
    task = metier.Task(**{k: v for k, v in asked(tmp_path).items() if k in _TASK})
    config = RunConfig(task="x")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "ledger.db").touch()
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (config, {"examples": FRAME}, "a config and examples are both given"),
        (task, {"metric": "choice"}, "a task or a config and metric are both given"),
        (task, {"split": {}}, "and split are both given"),
        (FRAME, {}, "examples are given as examples="),
        (tmp_path / "rows.csv", {}, "is a file of examples"),
        (tmp_path / "run", {}, "is the folder of a run"),
        (tmp_path / "gone", {}, "no such task"),
        (tmp_path / "gone.yaml", {}, "gone.yaml"),
    ]
    for job, given, told in wrong:
        with pytest.raises(MetierError) as problem:
            metier.optimize(job, **given)
        assert told in str(problem.value)


def test_a_price_is_asked_for_where_dollars_bound_a_function(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the price of callable/rule is not known"):
        metier.optimize(**asked(tmp_path, model=rule, budget={"usd": 1.0}, search=SEARCH))
