"""Programs of twelve shapes: compiled, saved, loaded in a fresh process in plain DSPy, asked the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dspy
import pytest
from support.jobs import ROOT, light_embeddings

from interop.shapes import SHAPES, TEXTS, TRUTH, answer, answers
from optimizer.interop import PromptSearch
from optimizer.ledger.reader import Reader
from optimizer.ledger.trials import all_trials
from optimizer.testing.fake_server import FakeServer

pytestmark = pytest.mark.timeout(120)
EXAMPLES = [dspy.Example(text=text, kind=TRUTH[text.split()[-1]]).with_inputs("text") for text in TEXTS]
QUICK = ("two", "shared")


def as_float(gold: dspy.Example, said: dspy.Prediction, trace: Any = None) -> float:
    return 1.0 if said.kind == gold.kind else 0.0


def as_bool(gold: dspy.Example, said: dspy.Prediction) -> bool:
    return bool(said.kind == gold.kind)


def as_prediction(
    gold: dspy.Example, said: dspy.Prediction, trace: Any, pred_name: Any, pred_trace: Any
) -> dspy.Prediction:
    right = said.kind == gold.kind
    return dspy.Prediction(score=float(right), feedback="right" if right else f"it is {gold.kind}")


FORMS = (as_float, as_bool, as_prediction)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer(answer) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shapes")


def compiled(shape: str, folder: Path, server: FakeServer) -> dspy.Module:
    """Compile one shape under the configured LM and save it; check what holds of every one."""
    search: dict[str, Any] = {
        "trials": 5,
        "round": 3,
        "block": 4,
        "demos": {"counts": [0] if shape == "no_demos" else [0, 2]},
    }
    metric = FORMS[list(SHAPES).index(shape) % len(FORMS)]
    run_dir = folder / "runs" / shape
    optimizer = PromptSearch(
        metric, budget=150, search=search, tracking={"mlflow": None}, run_dir=str(run_dir), models={"concurrency": 4}
    )
    student = SHAPES[shape]()
    before, asked = student.dump_state(), server.count
    program = optimizer.compile(student, trainset=EXAMPLES[::2], valset=EXAMPLES[1::2])
    assert student.dump_state() == before, "the student was changed"
    assert type(program) is type(student)
    assert optimizer.report is not None
    assert server.count - asked == sum(
        sum(usage["calls"].values()) for usage in (optimizer.report.usage, optimizer.report.test_usage)
    ), "a call went past the door"
    assert optimizer.report.usage["calls"]["task"] <= 150
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        found = [row.candidate.to_json() for row in all_trials(ledger)]
    assert list(found[0]) == [name for name, _ in student.named_predictors()]
    assert len({json.dumps(prompts) for prompts in found}) >= 3
    program.save(str(folder / f"{shape}.json"))
    return program


def check(shapes: tuple[str, ...], folder: Path, server: FakeServer) -> None:
    """Compile these shapes; a fresh process must say the same with the same requests."""
    light = pytest.MonkeyPatch()
    light_embeddings(light.setattr)
    said, sent = {}, {}
    lm = dspy.LM("openai/fake", api_base=server.api_base, api_key="none", cache=False)
    try:
        with dspy.context(lm=lm):
            for shape in shapes:
                program = compiled(shape, folder, server)
                start = server.count
                said[shape] = answers(program, TEXTS[:8])
                sent[shape] = [request["messages"] for request in server.requests[start:]]
    finally:
        light.undo()
    start = server.count
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}"}
    command = [sys.executable, "-m", "interop.shapes", server.api_base, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == said
    again = [request["messages"] for request in server.requests[start:]]
    assert again == [messages for shape in sorted(shapes) for messages in sent[shape]]


def test_a_few_shapes_answer_the_same_in_a_fresh_process(folder: Path, server: FakeServer) -> None:
    check(QUICK, folder / "quick", server)


@pytest.mark.slow
def test_every_shape_answers_the_same_in_a_fresh_process(folder: Path, server: FakeServer) -> None:
    check(tuple(SHAPES), folder / "all", server)
