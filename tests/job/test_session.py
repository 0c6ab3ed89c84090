"""What a job has open, and that all of it is closed again."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from support.jobs import BagOfWords, light_embeddings, make_task, rule

from optimizer.config.models import ANSWER_TOKENS, ModelConfig, Models
from optimizer.config.schema import BudgetConfig, RunConfig, SearchConfig
from optimizer.errors import ConfigError
from optimizer.evaluate.evaluator import phase_tag
from optimizer.job.session import Session, open_session
from optimizer.ledger.ledger import Ledger
from optimizer.models.fleet import Fleet
from optimizer.models.function import caller_endpoint
from optimizer.models.providers import Endpoint, remote
from optimizer.prompt.program import Programs
from optimizer.task.load import load_task
from optimizer.task.metrics.build import build_metric
from optimizer.task.task import Task
from optimizer.testing.fake_server import Messages
from optimizer.types import Role, Score


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    light_embeddings(monkeypatch.setattr)
    return load_task(make_task(tmp_path / "task"))


def answer(messages: Messages) -> str:
    return rule(messages)


def in_memory(config: RunConfig) -> dict[Role, Endpoint]:
    return {"task": caller_endpoint(answer, config.models)}


async def scores(session: Session) -> list[float]:
    candidate = session.programs.seed("turns")
    results = await session.evaluator.run(candidate, session.task.validation[:4], "validation", 0, phase_tag("search"))
    return [result.value for result in results if isinstance(result, Score)]


def test_a_model_in_memory_answers_and_is_not_started(task: Task, tmp_path: Path) -> None:
    config = RunConfig(task="sorting", models=Models(task=ModelConfig(model="callable/answer")))
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        with open_session(task, config, ledger, in_memory(config)) as session:
            assert session.folder == tmp_path
            assert session.writer is None
            assert len(asyncio.run(scores(session))) == 4
        assert (tmp_path / "run.log").is_file()
        assert ledger.read("SELECT COUNT(*) AS n FROM calls WHERE state = 'done'")[0]["n"] == 4


@pytest.mark.parametrize(
    ("strategy", "own", "limit"), [("dspy.GEPA", None, ANSWER_TOKENS), ("dspy.GEPA", 9, 9), ("default", None, None)]
)
def test_what_writes_for_a_library_has_a_limit(
    task: Task, tmp_path: Path, strategy: str, own: int | None, limit: int | None
) -> None:
    """A small model once wrote 16,384 tokens for gepa's first reflection."""
    prompt = ModelConfig(model="openai/fake", api_base="http://127.0.0.1:9/v1", max_tokens=own)
    models = Models(task=ModelConfig(model="callable/answer"), prompt=prompt)
    config = RunConfig(task="sorting", models=models, search=SearchConfig(strategy=strategy))
    endpoints: dict[Role, Endpoint] = {"task": caller_endpoint(answer, models), "prompt": remote(prompt, 4.0, 1)}
    with (
        closing(Ledger(tmp_path / "ledger.db")) as ledger,
        open_session(task, config, ledger, endpoints) as session,
    ):
        assert session.writer is not None
        assert session.writer.kwargs.get("max_tokens") == limit


def test_the_programs_may_be_the_callers(task: Task, tmp_path: Path) -> None:
    config = RunConfig(task="sorting", models=Models(task=ModelConfig(model="callable/answer")))
    programs = Programs(task, task.train, BagOfWords())
    with (
        closing(Ledger(tmp_path / "ledger.db")) as ledger,
        open_session(task, config, ledger, in_memory(config), programs) as session,
    ):
        assert session.programs is programs
        assert session.evaluator.programs is programs


def test_a_metric_of_meanings_has_the_embedder_of_the_demos(task: Task, tmp_path: Path) -> None:
    config = RunConfig(task="sorting", models=Models(task=ModelConfig(model="callable/answer")))
    sorting = task.changed(metric=build_metric("semantic_similarity", task.outputs, tmp_path))
    with (
        closing(Ledger(tmp_path / "ledger.db")) as ledger,
        open_session(sorting, config, ledger, in_memory(config)) as session,
    ):
        assert session.task.metric.embed is session.programs.embed  # type: ignore[attr-defined]
        assert all(0 <= score <= 1 for score in asyncio.run(scores(session)))


def test_what_was_opened_is_closed_where_the_next_thing_fails(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(Fleet, "stop", lambda fleet: ended.append("models"))
    monkeypatch.setattr("optimizer.job.session.Door", _refusing)
    config = RunConfig(task="sorting", models=Models(task=ModelConfig(model="callable/answer")))
    with closing(Ledger(tmp_path / "ledger.db")) as ledger, pytest.raises(ConfigError, match="no door"):  # noqa: SIM117
        with open_session(task, config, ledger, in_memory(config)):
            pytest.fail("it must not open")
    assert ended == ["models"]


def test_a_price_that_is_not_known_is_refused_before_a_model_starts(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fleet, "__enter__", lambda fleet: pytest.fail("a model was started"))
    models = Models(task=ModelConfig(model="openai/nobody-knows-it", api_base="http://127.0.0.1:9/v1"))
    config = RunConfig(task="sorting", models=models, budget=BudgetConfig(usd=1.0))
    with closing(Ledger(tmp_path / "ledger.db")) as ledger, pytest.raises(ConfigError, match="price"):  # noqa: SIM117
        with open_session(task, config, ledger):
            pytest.fail("it must not open")


def _refusing(*arguments: object) -> None:
    raise ConfigError("no door today")
