from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import dspy
import pytest
from support.jobs import lighten

from experiments.outside.benchmark import Data
from experiments.outside.langprobe import BENCHMARKS, SCONE_FILES
from experiments.outside.repositories import Clones
from experiments.outside.tasks import BENCHMARKS as BENCHMARKS_OF_TASKS
from experiments.outside.tasks import make_task
from optimizer.task.load import load_task
from optimizer.task.program import build_program
from optimizer.testing.fake_server import FakeServer, Messages, text_of

from .conftest import clones_of

EDITED = """,sentence1,sentence2,gold_label,group_index,sentence1_edited,sentence2_edited,gold_label_edited
0,There is no hat.,There is no sunhat.,entailment,0,There is a {name} hat.,There is a {name} sunhat.,neutral
"""
PLAIN = """,sentence1,sentence2,gold_label
0,There is no hat.,There is no sunhat.,entailment
"""
HEART = """age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num
63.0,1.0,1.0,145.0,233.0,1.0,2.0,150.0,0.0,2.3,3.0,0.0,6.0,'not_present'
53.0,0.0,3.0,128.0,216.0,0.0,1.0,115.0,1.0,0.0,1.0,?,?,'present'
"""


@pytest.fixture
def clones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clones:
    texts = {name: PLAIN if name == "one_scoped" else EDITED.format(name=name) for name in SCONE_FILES}
    scone = {
        f"scone_nli/{part}/{name}.csv": text.encode() for part in ("train", "test") for name, text in texts.items()
    }
    files = {"SCONE": scone, "HEART": {"data/processed.cleveland.data": HEART.encode()}}
    return clones_of(files, tmp_path / "clones", monkeypatch)


def test_a_pair_of_sentences_becomes_a_question(clones: Clones) -> None:
    train, test = BENCHMARKS["scone"].rows(Data(clones))
    assert train == test
    assert len(train) == len(SCONE_FILES)
    question = "Can we logically conclude for sure that there is no sunhat?"
    assert {"context": "There is no hat.", "question": question, "output": "Yes"} in train
    assert Counter(row["output"] for row in train) == {"Yes": 1, "No": 5}


def test_what_the_files_numbers_mean_is_written_out(clones: Clones) -> None:
    rows, test = BENCHMARKS["heart_disease"].rows(Data(clones))
    assert test is None
    first, second = rows
    assert (first["age"], first["sex"], first["cp"], first["oldpeak"]) == ("63", "male", "typical angina", "2.3")
    assert (first["thal"], first["output"]) == ("fixed defect", "no")
    assert (second["fbs"], second["oldpeak"], second["ca"], second["thal"]) == ("false", "0.0", "?", "?")
    assert second["output"] == "yes"


def test_a_task_may_have_several_inputs(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    task = load_task(make_task("iris", Data(Clones([])), 0, tmp_path / "iris-0"))
    assert (len(task.train), len(task.validation), len(task.test)) == BENCHMARKS["iris"].sizes
    assert list(task.inputs) == ["petal_length", "petal_width", "sepal_length", "sepal_width"]
    assert all(float(value) > 0 for example in task.test for value in example.inputs.values())
    assert Counter(example.outputs["answer"] for example in task.test) == {
        species: pytest.approx(25, abs=1) for species in ("setosa", "versicolor", "virginica")
    }


def test_the_program_fuses_what_it_criticized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lighten(monkeypatch.setattr)
    rows = [{"context": f"There are {n} hats.", "question": "Is there a hat?", "output": "Yes"} for n in range(6)]
    small = replace(BENCHMARKS["scone_fuser"], rows=lambda data: (rows, None), sizes=(2, 2, 2))
    monkeypatch.setitem(BENCHMARKS_OF_TASKS, "scone_fuser", small)
    folder = make_task("scone_fuser", Data(Clones([])), 0, tmp_path / "scone_fuser-0")
    seen: list[str] = []

    def answer(messages: Messages) -> str:
        seen.append("\n".join(map(text_of, messages)))
        names = re.findall(r"^\d+\. `(\w+)`", seen[-1].partition("Your output fields are:")[2], re.MULTILINE)
        said = {"answer": "Yes", "feedback": '["good"]', "final_response": "No"}
        return "\n\n".join(f"[[ ## {name} ## ]]\n{said.get(name, 'so')}" for name in [*names, "completed"])

    program = build_program(load_task(folder))
    with FakeServer(answer) as server:
        lm = dspy.LM("openai/fake", api_base=server.api_base, api_key="x", cache=False)
        with dspy.context(lm=lm):
            said = program(context="There is no hat.", question="Is there a hat?")
    assert said.answer == "No"
    assert len(seen) == 7
    assert "[5] Yes" in seen[5]
    assert "good" in seen[6]
