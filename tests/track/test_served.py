from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.readouts import LONG, labelled_prompt, labelled_task, labelling

from optimizer.testing.fake_server import FakeServer

pytestmark = pytest.mark.filterwarnings("default")  # MLflow's own code is not free of warnings


def test_the_logged_model_reads_labels_as_load_prompt_does_on_two_hundred_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.models

    monkeypatch.setattr(mlflow.models, "set_model", lambda model: None)
    served = importlib.import_module("optimizer.track.served").Served()
    task = labelled_task(tmp_path / "task", LONG)
    with FakeServer(labelling(LONG)) as server:
        saved = labelled_prompt(tmp_path, task, server.api_base)
        rows = [dict(example.inputs) for example in task.test]
        expected = [{"kind": saved(**row).kind} for row in rows]
        context = SimpleNamespace(model_config={"trust": True}, artifacts={"prompt": str(tmp_path / "best.json")})
        served.load_context(context)
        assert served.predict(context, rows) == expected
    assert len(rows) == 200
    assert len({one["kind"] for one in expected}) > 2
