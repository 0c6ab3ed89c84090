from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dspy
import pytest
from click.testing import CliRunner
from support.jobs import lighten, make_task, rule, settings, write_config

from optimizer.cli.main import cli
from optimizer.config.load import load_config
from optimizer.config.models import ANSWER_TOKENS, SHORT_TOKENS, Models
from optimizer.evaluate.precheck import LEAST_LIMIT
from optimizer.job.run import run_config
from optimizer.ledger.result import Report
from optimizer.models.dspy_lm import lm_endpoint
from optimizer.testing.fake_server import FakeServer, Messages

# The seed's answers: five words, the label last.
REASONS = "it may well be fruit"


def thinks(messages: Messages) -> str:
    """Think before the label where no demo shows a bare one."""
    return rule(messages) if len(messages) > 2 else REASONS


@pytest.fixture(autouse=True)
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)


def run(
    folder: Path, server: FakeServer, outputs: Any = None, calls: int = 60, endpoint: Any = None, **model: Any
) -> Report:
    task = make_task(folder / "task", **({} if outputs is None else {"outputs": outputs, "metric": "exact_match"}))
    models = {"task": {"model": "openai/fake", **model}, "api_base": server.api_base, "concurrency": 4}
    data = settings(task, server.api_base, budget={"calls": calls}, models=models, run_dir=str(folder / "out"))
    data["search"] |= {"readouts": ["generate"]}  # others have limits of their own
    held = {} if endpoint is None else {"task": endpoint}
    config = load_config(write_config(folder / "run.yaml", data))
    return run_config(config, endpoints=held, accept_changes=True)


def limits(server: FakeServer) -> list[int | None]:
    return [body.get("max_tokens") or body.get("max_completion_tokens") for body in server.requests]


def saved_limit(report: Report) -> int | None:
    limit: int | None = json.loads((report.run_dir / "best.json").read_text())["model"].get("max_tokens")
    return limit


def test_short_answers_have_room_for_more_than_the_seed_needs(tmp_path: Path) -> None:
    with FakeServer(thinks) as server:
        report = run(tmp_path, server)
    assert limits(server)[:10] == [SHORT_TOKENS] * 10, "the pre-check"
    assert set(limits(server)[10:]) == {LEAST_LIMIT}
    assert saved_limit(report) == LEAST_LIMIT
    assert report.seed.cut == report.winner.cut == 0


def test_a_limit_holds_when_the_run_goes_on(tmp_path: Path) -> None:
    with FakeServer(thinks) as server:
        run(tmp_path, server)
        before = len(server.requests)
        again = run(tmp_path, server, calls=80)
        assert len(server.requests) > before
    assert set(limits(server)[before:]) == {LEAST_LIMIT}
    assert saved_limit(again) == LEAST_LIMIT


def test_free_text_may_be_long(tmp_path: Path) -> None:
    with FakeServer(thinks) as server:
        report = run(tmp_path, server, {"kind": {"desc": "what it is"}})
    assert set(limits(server)) == {ANSWER_TOKENS}
    assert saved_limit(report) == ANSWER_TOKENS


def test_nothing_is_proven_over_a_seed_that_was_cut_off(tmp_path: Path) -> None:
    with FakeServer(thinks) as server:
        report = run(tmp_path, server, max_tokens=3)
    assert set(limits(server)) == {3}
    assert report.difference_ci95[0] > 0, "it looks better"
    assert (report.verdict, report.seed.cut, report.winner.cut) == ("inconclusive", report.test_examples, 0)
    assert any("so nothing is proven" in note and "models.task.max_tokens" in note for note in report.notes)
    assert any("answers of the search were cut off" in note for note in report.notes)
    assert saved_limit(report) == 3
    status = CliRunner().invoke(cli, ["status", str(report.run_dir)])
    assert "answers at their limit of tokens" in status.output
    pages = {name: (report.run_dir / name).read_text() for name in ("report.md", "report.html", "best.md")}
    assert all("cut off" in pages[name] for name in ("report.md", "report.html"))


def test_a_limit_of_the_callers_own_lm_is_kept(tmp_path: Path) -> None:
    with FakeServer(thinks) as server:
        lm = dspy.LM("openai/fake", api_base=server.api_base, api_key="none", max_tokens=900)
        report = run(tmp_path, server, endpoint=lm_endpoint(lm, Models()))
    assert set(limits(server)) == {900}
    assert saved_limit(report) == 900
