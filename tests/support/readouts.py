"""A prompt that reads labels from log-probabilities, and a model whose log-probabilities are known, for its exports."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optimizer.config.models import ModelConfig
from optimizer.prompt.saved import SavedPrompt, dump_prompt, load_prompt
from optimizer.task.load import load_task
from optimizer.task.task import Task
from optimizer.testing.fake_server import text_of
from optimizer.testing.label_model import LabelModel
from optimizer.testing.protocols import Messages
from optimizer.types import Calibration, Candidate, Prompt, Readout
from support.jobs import make_task

# Each label is one token of a LabelModel; several, some of which begin alike.
SHORT, LONG = ("fig", "oak", "owl", "elm"), ("card_arrival", "card_lost", "card_lost_abroad", "top_up")
OFFSETS = (1.1, -0.4, 0.6, -1.3)
EXAMPLES = 200


def labelling(labels: Sequence[str]) -> LabelModel:
    """Return a model that is of two minds about each input, and favours the last label."""

    def weights(messages: Messages) -> dict[str, float]:
        rng = random.Random(text_of(messages[-1]))
        return {label: rng.gauss(0.5 * number, 1.0) for number, label in enumerate(labels)}

    return LabelModel(weights)


def labelled_task(folder: Path, labels: Sequence[str], **changes: Any) -> Task:
    """Return a task with 200 test examples."""
    rows = [{"text": f"box {number}", "kind": labels[number % len(labels)]} for number in range(500)]
    return load_task(make_task(folder, rows, outputs={"kind": {"choices": list(labels)}}, **changes))


def labelled_prompt(
    folder: Path, task: Task, api_base: str, readout: Readout = "calibrated", **changes: Any
) -> SavedPrompt:
    """Return what was saved as `best.json` in a folder: a prompt of two demos with a readout."""
    labels = tuple(task.outputs["kind"].choices or ())
    fitted = Calibration(1.4, OFFSETS[: len(labels)], 1.0, labels) if readout == "calibrated" else None
    shown = {"demos": task.train[:2], "count": 2, "format": "turns", "readout": readout, "calibration": fitted}
    candidate = Candidate({"predict": Prompt(**{"instruction": "Sort it.", **shown, **changes})})
    path = folder / "best.json"
    path.write_text(dump_prompt(task, candidate, ModelConfig(model="openai/fake", api_base=api_base), {}))
    return load_prompt(path, trust=True)


def filled(body: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return an exported body with its inputs in the place of their marks."""
    data: dict[str, Any] = json.loads(body)
    for message in data["messages"]:
        for name, value in inputs.items():
            message["content"] = message["content"].replace(f"{{{{{name}}}}}", str(value))
    return data
