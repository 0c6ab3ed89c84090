"""Plays a fixed list of jobs with the code of a checkout, and writes down what its runs did.

PYTHONPATH=. python experiments/unchanged/play.py CHECKOUT OUT.json [--models fake real] [--tasks ...]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.field.tasks import make_task
from experiments.unchanged.fake import WRITER, Rule, served

# The data of banking10 and agnews lie beside the project.
DATA, SIZES = Path(__file__).resolve().parents[3] / "shared" / "data", (40, 40, 40)
TASKS = ("support_intent", "tickets_fr", "policy_answers", "banking10", "agnews")
WAIT, PATIENCE = 7200, 900  # seconds for one run and for one call
# What the real model can answer in a second or two: the other formats and more demos are the fake one's.
LIGHT = {"formats": ["turns", "block"], "demos": {"counts": [0, 2, 4]}}
COLUMNS = {
    "trials": (
        *("number", "candidate", "origin", "parents", "prompts", "params", "state", "reason", "value", "score"),
        *("low", "high", "seen", "failures"),
    ),
    "calls": (
        *("role", "phase", "trial", "example", "request", "state", "response", "failure"),
        *("attempts", "input_tokens", "cached_tokens", "output_tokens", "answer_tokens", "usd"),
    ),
    "scores": (
        *("candidate", "split", "position", "example", "value", "answer", "feedback", "failure", "tokens", "calls"),
    ),
}
AS_JSON = {"parents", "prompts", "params", "request", "response", "answer"}
# Of an outcome: what is another in every run.
OWN = ("run_id", "seconds", "mlflow")
# Of a response: its number at the provider, and when.
UNSAID = ("id", "created")
# Of the run's files those that are texts for a reader, and what they say of its time.
FILES, TOOK = ("best.json", "best.md", "report.md"), re.compile(r"The run took [^,]+,")
# Of the mirror: metrics of time, and tags with ids and versions of libraries.
TIMES = ("seconds", "latency_p50", "latency_p95")
MARKS = ("mlflow.", "metier.mark", "version.")


@dataclass(frozen=True)
class Job:
    """One run: a task, `fake` or `real`, and what its config has beside the usual.

    `writer` has a model write instructions; `refused` is the share of calls that fail for good.
    """

    task: str
    model: str
    what: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    writer: bool = False
    refused: float = 0.0
    at_once: int = 1

    @property
    def name(self) -> str:
        """One text that names this job."""
        return " ".join(filter(None, (self.task, self.model, self.what)))

    def config(self, folder: Path, port: int) -> dict[str, Any]:
        """Return the run's config."""
        # Patience for a machine that others use: a call that is given up is another course of the run.
        models: dict[str, Any] = {"task": "local/smollm2-135m", "timeout": PATIENCE}
        if self.model == "fake":
            models = {"task": "openai/fake", "api_base": f"http://127.0.0.1:{port}/v1", "concurrency": self.at_once}
        if self.writer:
            models["prompt"] = f"openai/{WRITER}"
        usual = {
            "budget": {"calls": 400 if self.model == "fake" else 100},
            "test": {"baselines": 40 if self.model == "fake" else 10},
            "tracking": {"mlflow": None},
            "seed": 0,
        }
        return {"task": str(folder), "models": models, **usual, **self.changes}


JOBS = (
    *(Job(task, "fake") for task in TASKS),
    *(Job(task, "fake", "writer", writer=True) for task in ("support_intent", "tickets_fr", "policy_answers")),
    Job("support_intent", "fake", "MIPROv2", {"search": {"strategy": "dspy.MIPROv2"}}, writer=True),
    Job("support_intent", "fake", "front", {"search": {"objective": ["score", "tokens"]}}),
    Job("support_intent", "fake", "refused", refused=0.03),
    Job("banking10", "fake", "mlflow", {"tracking": {"mlflow": {}}}),
    # Without a budget of calls: which call it ends at may depend on which answer comes first.
    Job("agnews", "fake", "wide", {"budget": {}, "search": {"trials": 24}}, at_once=16),
    *(Job(task, "real", changes={"search": LIGHT}) for task in TASKS),
)


def main() -> None:
    """Play the jobs one after the other; the file is written anew after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", nargs="+", choices=["fake", "real"], default=["fake", "real"])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--port", type=int, default=18765, help="of the fake model; the same for both versions")
    options = parser.parse_args()
    checkout = options.checkout.resolve()
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    played: dict[str, Any] = {}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    refuse_other_code(checkout, environment)
    for job in JOBS:
        if job.model not in options.models or job.task not in options.tasks:
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            played[job.name] = found = play(job, checkout, Path(folder), options.port, environment)
        told = f"{len(found.get('trials', []))} trials, {len(found.get('calls', []))} calls"
        verdict = (found.get("outcome") or {}).get("verdict", "no outcome")
        print(f"{job.name}: exit {found['exit']}, {verdict}, {told}, {time.monotonic() - start:.0f} s", flush=True)
        options.out.write_text(json.dumps(played, ensure_ascii=False, indent=0, sort_keys=True), encoding="utf-8")


def refuse_other_code(checkout: Path, environment: Mapping[str, str]) -> None:
    """End where the code that runs is not the checkout's."""
    command = [sys.executable, "-c", "import optimizer; print(optimizer.__file__)"]
    said = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True).stdout
    if not Path(said.strip()).is_relative_to(checkout):
        sys.exit(f"{said.strip()} is not of {checkout}")


def play(job: Job, checkout: Path, folder: Path, port: int, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what a job's run did; where it failed, what it said last."""
    task = checkout / "tasks" / job.task
    if not task.is_dir():
        task = make_task(job.task, DATA, 0, SIZES, folder / job.task)
    config, run = folder / "run.yaml", folder / "run"
    config.write_text(json.dumps(job.config(task, port)), encoding="utf-8")
    command = [sys.executable, "-m", "optimizer", "run", str(config), "--run-dir", str(run), "--quiet"]
    server = served(Rule(task, job.refused), port) if job.model == "fake" else nullcontext()
    with server:
        done = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=WAIT
        )
    found: dict[str, Any] = {"exit": done.returncode}
    if done.returncode:
        found["said"] = done.stderr[-2000:]
    names = {str(folder): "FOLDER", str(checkout): "CHECKOUT"}
    if (run / "ledger.db").is_file():
        found |= read(run / "ledger.db", names)
    found["files"] = {name: TOOK.sub("", (run / name).read_text("utf-8")) for name in FILES if (run / name).is_file()}
    # Beside the run, or in it, where an older version kept it.
    databases = [path for path in (run / "mlflow.db", run.parent / "mlflow.db") if path.is_file()]
    if databases:
        found["mirror"] = mirrored(databases[0])
    text = json.dumps(found, ensure_ascii=False)
    for own, name in names.items():
        text = text.replace(own, name)
    return json.loads(text)  # type: ignore[no-any-return]


def read(path: Path, names: dict[str, str]) -> dict[str, Any]:
    """Return what a run's ledger says, without what no two runs have in common; its id is added to the `names`."""
    with closing(sqlite3.connect(path)) as ledger:
        ledger.row_factory = sqlite3.Row
        found: dict[str, Any] = {table: list(rows(ledger, table)) for table in COLUMNS}
        told = {row["key"]: json.loads(row["value"]) for row in ledger.execute("SELECT key, value FROM meta")}
    names[told["run_id"]] = "RUN"
    for call in found["calls"]:
        for name in UNSAID:
            (call["response"] or {}).pop(name, None)
    found["calls"].sort(key=lambda call: json.dumps(call, sort_keys=True))
    outcome = told.get("result")
    found["outcome"] = outcome and {name: value for name, value in outcome.items() if name not in OWN}
    return found


def rows(ledger: sqlite3.Connection, table: str) -> Iterable[dict[str, Any]]:
    """Yield a table's rows with the columns that are compared, in the order of their keys."""
    order = {"trials": "number", "calls": "id", "scores": "candidate, split, position, metric"}[table]
    for row in ledger.execute(f"SELECT {', '.join(COLUMNS[table])} FROM {table} ORDER BY {order}"):  # noqa: S608
        yield {name: _value(name, row[name]) for name in COLUMNS[table]}


def mirrored(path: Path) -> dict[str, Any]:
    """Return what was mirrored to MLflow, by the names of its runs."""
    with closing(sqlite3.connect(path)) as ledger:
        found: dict[str, Any] = {}
        for uuid, name, status in ledger.execute("SELECT run_uuid, name, status FROM runs ORDER BY name").fetchall():
            tags = ledger.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (uuid,)).fetchall()
            params = ledger.execute("SELECT key, value FROM params WHERE run_uuid = ?", (uuid,)).fetchall()
            metrics = ledger.execute("SELECT key, step, value FROM metrics WHERE run_uuid = ?", (uuid,)).fetchall()
            found[name] = {
                "status": status,
                "tags": {key: value for key, value in tags if not key.startswith(MARKS)},
                "params": dict(params),
                "metrics": sorted(row for row in metrics if row[0] not in TIMES),
            }
    return found


def _value(name: str, value: Any) -> Any:
    return json.loads(value) if name in AS_JSON and isinstance(value, str) else value


if __name__ == "__main__":
    main()
