"""What calibration gains on a real model, whose first token's log-probabilities are read as labels. See the README."""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np

from experiments.field.tasks import make_task
from optimizer.config.models import ModelConfig
from optimizer.evaluate.calibration import UNKNOWN, calibration_error, fit, probabilities
from optimizer.export.template import first_request, openai_body
from optimizer.models.embed import Embedder
from optimizer.models.reencode import reencoded
from optimizer.models.server import EmbeddedServer
from optimizer.models.store import Store
from optimizer.prompt.builder import ROOT
from optimizer.prompt.program import Programs
from optimizer.prompt.readout import TOP, label_logprobs
from optimizer.task.load import load_task
from optimizer.task.task import Task
from optimizer.types import Candidate, Example, Prompt

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
DEMOS = ("nearest:8", "static:8", "static:16")


def main() -> None:
    """Print a row for each task and way of choosing demos: how many of 100 are right by each readout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="local/smollm2-135m")
    parser.add_argument("--tasks", nargs="+", default=["agnews", "sst2", "banking10"])
    parser.add_argument("--sizes", type=int, nargs=3, default=[100, 100, 200], help="train, validation, test")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--demos", nargs="+", default=DEMOS, help="policy:count")
    options = parser.parse_args()
    print("| task | demos | seed | likeliest label | calibrated, no labels | calibrated | error before → after |")
    print("|---|---|---|---|---|---|---|", flush=True)
    model = reencoded(Store().pull(options.model))
    with EmbeddedServer(model, "local") as server, tempfile.TemporaryDirectory() as folder:
        for name in options.tasks:
            for seed in options.seeds:
                task = load_task(make_task(name, DATA, seed, tuple(options.sizes), Path(folder) / f"{name}{seed}"))
                for policy, count in (demos.split(":") for demos in options.demos):
                    row = measured(server.address, task, policy, int(count), seed)
                    print(f"| {name} | {count} {policy} | {seed} | {row} |", flush=True)


def measured(address: str, task: Task, policy: str, count: int, seed: int) -> str:
    """Return the cells of a row: fitted on the validation examples, judged on the test."""
    labels = next(iter(task.outputs.values())).choices or []
    programs = Programs(task, task.train, Embedder.local())
    named = f"{task.instruction} Answer with one of: {', '.join(labels)}."
    demos = tuple(random.Random(seed).sample(list(task.train), count)) if policy == "static" else ()  # noqa: S311
    candidate = Candidate({ROOT: Prompt(named, "turns", policy, count, demos=demos)})  # type: ignore[arg-type]
    seen = {
        split: logprobs(address, programs, candidate, examples, labels)
        for split, examples in {"validation": task.validation, "test": task.test}.items()
    }
    truth = {
        split: [labels.index(next(iter(example.outputs.values()))) for example in examples]
        for split, examples in {"validation": task.validation, "test": task.test}.items()
    }
    raw = np.exp(seen["test"]) / np.exp(seen["test"]).sum(axis=1, keepdims=True)
    blind = probabilities(fit(seen["validation"], [UNKNOWN] * len(truth["validation"])), seen["test"])
    fitted = probabilities(fit(seen["validation"], truth["validation"]), seen["test"])
    right = [100 * float((one.argmax(axis=1) == truth["test"]).mean()) for one in (raw, blind, fitted)]
    errors = [100 * calibration_error(one, truth["test"]) for one in (raw, fitted)]
    return " | ".join([*(f"{one:.1f}" for one in right), f"{errors[0]:.0f} → {errors[1]:.0f}"])


def logprobs(
    address: str, programs: Programs, candidate: Candidate, examples: Sequence[Example], labels: Sequence[str]
) -> np.ndarray:
    """Return what the model says of each label, examples × labels; 0 where no label is among what it tells."""
    longest = max(len(label.encode()) for label in labels) + 2
    model, program = ModelConfig(model="openai/local", max_tokens=longest), programs.build(candidate)
    rows = []
    with httpx.Client(timeout=300) as client:
        for example in examples:
            body = openai_body(model, first_request(program, model, example.inputs))
            body |= {"logprobs": True, "top_logprobs": TOP, "temperature": 0}
            reply = client.post(f"{address}/v1/chat/completions", json=body).raise_for_status().json()
            seen = label_logprobs(reply["choices"][0]["logprobs"]["content"], labels)
            rows.append(seen or [0.0] * len(labels))
    return np.array(rows)


if __name__ == "__main__":
    main()
