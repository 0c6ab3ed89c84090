from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.jobs import BagOfWords, lighten, make_task, rule

from optimizer.config.models import ModelConfig
from optimizer.errors import ConfigError, TaskError
from optimizer.job.check import Wanted, check
from optimizer.job.eval import evaluate_saved
from optimizer.prompt.saved import dump_prompt
from optimizer.task.load import load_task
from optimizer.testing.fake_server import FakeServer
from optimizer.types import Candidate, Prompt

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(rule) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lighten(monkeypatch.setattr)
    return make_task(tmp_path / "task")


def saved(folder: Path, server: FakeServer, prompt: Prompt, max_tokens: int | None = None) -> str:
    model = ModelConfig(model="openai/fake", api_base=server.api_base, max_tokens=max_tokens)
    path = folder / "best.json"
    path.write_text(dump_prompt(load_task(folder), Candidate({"predict": prompt}), model, {}))
    return str(path)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_good_prompt_scores_well_on_each_split(folder: Path, server: FakeServer, split: str) -> None:
    path = saved(folder, server, Prompt(f"Answer with one of: {', '.join(('fruit', 'metal', 'bird'))}."))
    scored = evaluate_saved(str(folder), path, split, None, None, trust=True)
    assert (scored.mean, scored.failures) == (1.0, 0)
    assert scored.answered == len(getattr(load_task(folder), split)) == server.count


def test_a_retrieving_prompt_carries_its_own_demos(folder: Path, server: FakeServer) -> None:
    path = saved(folder, server, Prompt("Sort it.", policy="nearest", count=2))
    assert evaluate_saved(str(folder), path, "test", None, None, trust=True).mean > 0.9
    assert BagOfWords()(["a b"]).shape == (1, 64)


def test_answers_that_are_cut_off_are_counted(folder: Path) -> None:
    with FakeServer(lambda messages: "It is a bird.") as wordy:
        scored = evaluate_saved(str(folder), saved(folder, wordy, Prompt("Sort it."), 2), "test", None, None, True)
        assert scored.cut == scored.answered > 0


def test_another_model_may_be_asked(folder: Path, server: FakeServer) -> None:
    path = saved(folder, server, Prompt("Sort it."))
    with FakeServer(lambda messages: "bird") as other:
        scored = evaluate_saved(str(folder), path, "validation", "openai/other", other.api_base)
        assert (server.count, other.count) == (0, scored.answered)
        assert {body["model"] for body in other.requests} == {"other"}
    low, high = scored.ci95
    assert low <= scored.mean <= high


def test_a_prompt_of_other_fields_is_refused(folder: Path, server: FakeServer, tmp_path: Path) -> None:
    path = saved(folder, server, Prompt("Sort it."))
    other = make_task(tmp_path / "other", inputs={"question": {}}, fields={"question": "text"})
    with pytest.raises(TaskError, match="its fields are"):
        evaluate_saved(str(other), path, "test", None, None, trust=True)
    assert server.count == 0


def test_an_address_without_its_model_is_refused(folder: Path, server: FakeServer) -> None:
    path = saved(folder, server, Prompt("Sort it."))
    with pytest.raises(ConfigError, match="--api-base 'http://other' is the endpoint of --model"):
        evaluate_saved(str(folder), path, "test", None, "http://other", trust=True)
    with pytest.raises(ConfigError, match="no --model is named"):
        check(path, Wanted(0.5, None, 0.05), "test", str(folder), None, "http://other", trust=True)
    assert server.count == 0
