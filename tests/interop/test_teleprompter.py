"""What PromptSearch refuses, and results that plain DSPy cannot hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest
from support.jobs import light_embeddings

from interop.shapes import TEXTS, TRUTH, Two, answer
from optimizer.errors import ConfigError, TaskError
from optimizer.interop import PromptSearch, TunedProgram
from optimizer.job.watcher import Watcher
from optimizer.prompt.demos import DemoPool
from optimizer.testing.fake_server import FakeServer
from optimizer.types import Candidate, Example, Prompt

EXAMPLES = [dspy.Example(text=text, kind=TRUTH[text.split()[-1]]).with_inputs("text") for text in TEXTS]
LM = dspy.LM("openai/fake", api_base="http://127.0.0.1:9/v1", api_key="none")


def same(gold: dspy.Example, said: dspy.Prediction) -> bool:
    return bool(gold.kind == said.kind)


def refused(metric: Any = same, lm: Any = LM, student: Any = None, train: Any = EXAMPLES, **config: Any) -> str:
    """Return why a compile is refused, before anything is called."""
    with dspy.context(lm=lm), pytest.raises((ConfigError, TaskError)) as problem:
        PromptSearch(metric, **config).compile(student or Two(), trainset=train)
    return str(problem.value)


def test_what_cannot_be_optimized_is_refused_with_a_remedy() -> None:
    assert "dspy.configure(lm=" in refused(lm=None)
    assert "'openai/gpt', not a dspy.LM" in refused(lm="openai/gpt")
    assert "trainset is empty" in refused(train=[])
    assert "with_inputs" in refused(train=[dspy.Example(text="a", kind="b")])
    assert "trainset[0] is dict" in refused(train=[{"text": "a"}])
    assert "each of the three sets needs" in refused(train=EXAMPLES[:3])
    assert "def metric(example, answer, trace=None)" in refused(metric=lambda: 1)
    assert "cannot be called" in refused(metric=0.5)
    assert "did you mean 'trials'" in refused(search={"trails": 3})
    assert "prompt_model=" in refused(models={"prompt": "openai/gpt"})
    frozen = Two()
    frozen.find._compiled = True
    part = dspy.Module()
    part.inner = Two()
    part.inner._compiled = True
    assert "no predictor to optimize" in refused(student=part)
    mixed = Two()
    mixed.find.lm = dspy.LM("openai/other", api_key="none")
    assert "openai/fake, openai/other" in refused(student=mixed)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(answer) as running:
        yield running


@pytest.mark.parametrize(
    ("metric", "told"),
    [(lambda gold, said: 1 / 0, "division by zero"), (lambda gold, said: 87, "Return a number from 0 to 1")],
)
def test_a_metric_that_fails_is_named_with_the_example(
    metric: Any, told: str, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    light_embeddings(monkeypatch.setattr)
    lm = dspy.LM("openai/fake", api_base=server.api_base, api_key="none")
    optimizer = PromptSearch(metric, budget=40, run_dir=str(tmp_path / "run"), tracking={"mlflow": None})
    with dspy.context(lm=lm), pytest.raises(TaskError, match=told):
        optimizer.compile(dspy.Predict("text -> kind"), trainset=EXAMPLES)


def test_who_masks_is_told_that_the_program_returned_masks_nothing(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    light_embeddings(monkeypatch.setattr)
    warned: list[str] = []

    class Listener(Watcher):
        def warn(self, text: str) -> None:
            warned.append(text)

    lm = dspy.LM("openai/fake", api_base=server.api_base, api_key="none")
    for privacy in ({}, {"redact": ["email"]}):
        folder, hear = str(tmp_path / f"run{len(privacy)}"), Listener()
        options: dict[str, Any] = {"tracking": {"mlflow": None}, "run_dir": folder, "privacy": privacy}
        optimizer = PromptSearch(lambda gold, said: 1 / 0, budget=40, watcher=hear, **options)
        with dspy.context(lm=lm), pytest.raises(TaskError):
            optimizer.compile(dspy.Predict("text -> kind"), trainset=EXAMPLES)
    assert [text for text in warned if "privacy.redact" in text] == [
        "privacy.redact masks the calls of the search; the program that is returned masks none."
    ]


def test_a_program_with_retrieved_demos_carries_them(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    light_embeddings(monkeypatch.setattr)
    from support.jobs import BagOfWords

    pool = [Example({"text": gold.text}, {"word": gold.text.split()[-1]}) for gold in EXAMPLES]
    prompts = {"find": Prompt("Find it.", "turns", "nearest", 2), "sort": Prompt("Sort it.", "own")}
    pools = {"find": DemoPool(pool, BagOfWords()), "sort": DemoPool((), BagOfWords())}
    program = TunedProgram(Two(), Candidate(prompts), pools)
    program.save(str(tmp_path / "tuned.json"))
    again = TunedProgram(Two())
    again.load(str(tmp_path / "tuned.json"))
    lm = dspy.LM("openai/fake", api_base=server.api_base, api_key="none", cache=False)
    sent = []
    for one in (program, again, program.deepcopy()):
        start = server.count
        with dspy.context(lm=lm):
            one(text="the green store has owl")
        sent.append([request["messages"] for request in server.requests[start:]])
    assert sent[0] == sent[1] == sent[2]
    first = sent[0][0]
    assert first[0]["content"] == "Find it."
    assert [message["role"] for message in first] == ["system", *["user", "assistant"] * 2, "user"]
    assert {message["content"] for message in first[1:-1:2]} <= set(TEXTS)
    assert "pool" not in json.loads((tmp_path / "tuned.json").read_text())["prompts"]["find"]
    with pytest.raises(TaskError, match="the program that was optimized"):
        TunedProgram(dspy.Predict("text -> kind")).load(str(tmp_path / "tuned.json"))
