"""What the mirror costs a run: the same job with MLflow on and off, in turns, against a fake provider.

Run: python experiments/tracking/measure.py [--trials 2000] [--latency 0.05] [--rounds 1]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from optimizer.track.connect import connect

LABELS = ("fruit", "metal", "bird")
TICK = os.sysconf("SC_CLK_TCK")


@contextmanager
def provider(latency: float) -> Iterator[str]:
    """Start the fake provider in a process of its own; yield its URL."""
    command = [sys.executable, str(Path(__file__).with_name("server.py")), str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def make_config(folder: Path, api_base: str, trials: int, mirrored: bool) -> Path:
    """Write the task and the config; return the config's path."""
    task = folder / "task"
    task.mkdir(exist_ok=True)
    fields = {"inputs": {"text": {"desc": "a sentence"}}, "outputs": {"kind": {"choices": list(LABELS)}}}
    data = {"name": "sorting", **fields, "instruction": "Sort it.", "data": {"path": "rows.jsonl"}, "metric": "choice"}
    (task / "task.yaml").write_text(yaml.safe_dump(data))
    rows = [
        {"text": f"shop {n} on street {n * 7 % 101} sells {LABELS[n % 3]}", "kind": LABELS[n % 3]} for n in range(400)
    ]
    (task / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    config = {
        "task": str(task),
        "models": {"task": "openai/fake", "api_base": api_base, "concurrency": 16},
        # Static demos only: embeddings would be most of the run's processor time.
        "search": {"trials": trials, "demos": {"policies": ["static"], "sets": 32}, "block": 10, "round": 8},
        "tracking": {"mlflow": {} if mirrored else None},
    }
    path = folder / f"run-{mirrored}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def run(folder: Path, api_base: str, trials: int, mirrored: bool, number: int) -> dict[str, Any]:
    """Run the job once; return its seconds, and what the mirror's process took."""
    config, out = make_config(folder, api_base, trials, mirrored), folder / f"run-{mirrored}-{number}"
    command = [sys.executable, "-m", "optimizer", "run", str(config), "--run-dir", str(out), "--quiet"]
    environment = {**os.environ, "OPENAI_API_KEY": "none"}
    began = time.perf_counter()
    mirror: dict[str, float] = {}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            mirror = watched(out) or mirror
            time.sleep(0.25)
    wall = time.perf_counter() - began
    assert process.returncode == 0, (out / "run.log").read_text()[-2000:]
    result = json.loads((out / "result.json").read_text())
    found: dict[str, Any] = {"wall s": round(wall, 1), "calls": result["usage"]["calls"]["task"], **mirror}
    found["trials"] = sum(result["trials"].values())
    if mirrored:
        found["children"] = children(result)
    return found


def watched(run_dir: Path) -> dict[str, float]:
    """Return the processor seconds and the peak memory of a run's mirror, {} where there is none."""
    for place in Path("/proc").iterdir():
        with suppress(OSError, StopIteration):
            words = (place / "cmdline").read_text().split("\0") if place.name.isdigit() else []
            if "follow" in words and str(run_dir.absolute()) in words:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
                peak = next(line for line in (place / "status").read_text().splitlines() if line.startswith("VmHWM"))
                busy = (int(fields[11]) + int(fields[12])) / TICK
                return {"mirror processor s": round(busy, 1), "mirror peak MB": round(int(peak.split()[1]) / 1024)}
    return {}


def children(result: dict[str, Any]) -> int:
    """Return how many of a run's trials lie in MLflow as children of its parent."""
    client, experiment = connect(result["mlflow"]["tracking_uri"], "metier")
    query, found, token = f"tags.`metier.run_id` = '{result['run_id']}'", [], None
    while True:
        page = client.search_runs([experiment], query, max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            break
    (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    return sum(run.data.tags.get("mlflow.parentRunId") == parent.info.run_id for run in found)


def main() -> None:
    """Print each run, and the ratio of each pair's wall times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds that the provider takes for an answer")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, provider(given.latency) as api_base:
        for number in range(given.rounds):
            off = run(Path(folder), api_base, given.trials, False, number)
            print("off", json.dumps(off), flush=True)
            on = run(Path(folder), api_base, given.trials, True, number)
            print("on ", json.dumps(on), flush=True)
            print(f"wall time on / off: {on['wall s'] / off['wall s']:.3f}", flush=True)


if __name__ == "__main__":
    main()
