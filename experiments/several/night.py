"""A night with two models at 200 ms a call: the wall time of a whole run against what the busier model allows.

Each model is a fake provider in a process of its own. Run: PYTHONPATH=. python experiments/several/night.py
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import yaml

from optimizer.job.run import run_config
from optimizer.ledger.reader import Reader
from optimizer.testing.fake_server import FakeServer, Messages, text_of
from optimizer.types import digest

LATENCY = 0.2
EXAMPLES = 600
LABELS = ("fruit", "metal", "animal", "tool")


def say(messages: Messages, skill: int) -> str:
    """Return a label that is right for so many of a hundred inputs, more with demos: which ones, the prompt decides."""
    asked = int(re.findall(r"number (\d+)", text_of(messages[-1]))[-1])
    luck = int(digest([skill, *map(text_of, messages)], 8), 16) % 100
    return LABELS[asked % len(LABELS)] if luck < skill + 3 * min(len(messages), 8) else "stone"


def serve(skill: int, pipe: Connection) -> None:
    """Serve one model until the pipe says so; tell its address, then how many calls it answered."""
    with FakeServer(lambda messages: say(messages, skill), delay=LATENCY) as server:
        pipe.send(server.api_base)
        pipe.recv()
        pipe.send(server.answered)


@contextmanager
def models(skills: tuple[int, ...]) -> Iterator[list[tuple[str, Connection]]]:
    """Start a process for each model; yield its address and the pipe to it."""
    started = []
    for skill in skills:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(target=serve, args=(skill, theirs), daemon=True)
        process.start()
        started.append((ours.recv(), ours))
    yield started


def config(folder: Path, addresses: list[str], calls: int, flight: int) -> Path:
    """Write a task of 600 examples and the run's config; return the config's path."""
    task = folder / "task"
    task.mkdir()
    with open(task / "data.jsonl", "w", encoding="utf-8") as file:
        for n in range(EXAMPLES):
            file.write(json.dumps({"text": f"Which kind is number {n}", "kind": LABELS[n % len(LABELS)]}) + "\n")
    described = {
        "name": "night",
        "instruction": "Tell which kind it is.",
        "inputs": {"text": {"desc": "a question"}},
        "outputs": {"kind": {"choices": [*LABELS, "stone"]}},
        "metric": "choice",
        "data": {"path": "data.jsonl"},
        "split": {"train": 0.4, "validation": 0.4, "test": 0.2},
    }
    (task / "task.yaml").write_text(yaml.safe_dump(described), encoding="utf-8")
    named = [{"model": f"openai/model-{n}", "api_base": base} for n, base in enumerate(addresses)]
    path = folder / "run.yaml"
    run: dict[str, Any] = {
        "task": str(task),
        "models": {"task": named, "concurrency": flight},
        "budget": {"calls": calls},
        "search": {"demos": {"policies": ["static"]}, "readouts": ["generate"]},
        "tracking": {"mlflow": None},
        "run_dir": str(folder / "run"),
    }
    path.write_text(yaml.safe_dump(run), encoding="utf-8")
    return path


def night(calls: int, flight: int) -> dict[str, Any]:
    """Return what one run took."""
    with tempfile.TemporaryDirectory() as name, models((40, 60)) as started:
        path = config(Path(name), [address for address, _ in started], calls, flight)
        began, busy = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        report = run_config(path)
        wall, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
        answered = []
        for _, pipe in started:
            pipe.send(None)
            answered.append(pipe.recv())
        with closing(Reader(report.run_dir / "ledger.db")) as ledger:
            spans = ledger.read("SELECT MIN(started) AS first, MAX(ended) AS last FROM calls WHERE phase = 'search'")
            times = ledger.read(
                "SELECT request ->> 'model' AS model, SUM(response ->> 'seconds') AS seconds, COUNT(*) AS n FROM calls"
                " WHERE phase = 'search' AND state = 'done' GROUP BY 1 ORDER BY 2 DESC"
            )
            calls = ledger.read("SELECT started, ended FROM calls WHERE phase = 'search' AND state = 'done'")
        searched = spans[0]["last"] - spans[0]["first"]
        asked = ledger_calls(report.run_dir)
    limit = max(answered) * LATENCY / flight
    own = max(asked.values()) * LATENCY / flight
    served = times[0]["seconds"] / flight
    processor = used.ru_utime + used.ru_stime - busy.ru_utime - busy.ru_stime
    return {
        "in flight": flight,
        "calls": answered,
        "limit": round(limit, 1),
        "wall": round(wall, 1),
        "ratio": round(wall / limit, 3),
        "search": round(searched, 1),
        "search's limit": round(own, 1),
        "search's ratio": round(searched / own, 3),
        "without a call": round(idle([(row["started"], row["ended"]) for row in calls]), 1),
        "ms a call": round(1000 * times[0]["seconds"] / times[0]["n"]),
        "search's ratio to that": round(searched / served, 3),
        "processor": round(processor, 1),
    }


def idle(spans: list[tuple[float, float]]) -> float:
    """Return the seconds between the first call and the last in which none was in flight."""
    total, until = 0.0, min(begun for begun, _ in spans)
    for begun, ended in sorted(spans):
        total += max(0.0, begun - until)
        until = max(until, ended)
    return total


def ledger_calls(folder: Path) -> dict[str, int]:
    """Return how many calls of the search each model answered."""
    with closing(Reader(folder / "ledger.db")) as ledger:
        sql = (
            "SELECT request ->> 'model' AS model, COUNT(*) AS n FROM calls"
            " WHERE phase = 'search' AND state = 'done' GROUP BY 1"
        )
        return {row["model"]: row["n"] for row in ledger.read(sql)}


def main() -> None:
    """Print a line for each number of calls in flight."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[4, 8, 16])
    options = parser.parse_args()
    for flight in options.in_flight:
        print(json.dumps(night(options.calls, flight)), flush=True)


if __name__ == "__main__":
    main()
