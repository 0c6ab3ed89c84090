"""Do cells share a provider's limit? Real cells, a fake provider that refuses what is too fast, and a count of both.

`python experiments/sweep/limits.py --per-minute 300` plays eight cells, four at a time, and prints the share of replies
that were 429, and how much of the limit was used, from the first minute's end to the last cell's begin: before and
after that fewer than four cells ask. `--announced`: the provider's headers tell of its limit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import yaml

from optimizer.testing.fake_server import FakeServer, Messages, text_of

LABELS = ("fruit", "metal", "bird")
BURST = 5


def answer(messages: Messages) -> str:
    """Answer rightly with a chance that depends on the prompt, so that no race is over at once."""
    prompt = "\n".join(text_of(message) for message in messages[:-1])
    asked = text_of(messages[-1])
    skill, luck = (int(hashlib.sha256(text.encode()).hexdigest()[:4], 16) / 0xFFFF for text in (prompt, prompt + asked))
    right = max(LABELS, key=asked.rfind)
    return right if luck < 0.4 + 0.5 * skill else LABELS[(LABELS.index(right) + 1) % 3]


def write(folder: Path, api_base: str, calls: int) -> Path:
    """Write a task, a run and a sweep of eight cells."""
    task = folder / "task"
    task.mkdir()
    fields = {"inputs": {"text": {}}, "outputs": {"kind": {"choices": list(LABELS)}}}
    data = {"name": "sorting", **fields, "instruction": "Sort it.", "data": {"path": "rows.jsonl"}, "metric": "choice"}
    (task / "task.yaml").write_text(yaml.safe_dump(data))
    rows = [
        {"text": f"shop {n} on street {n * 7 % 101} sells {LABELS[n % 3]}", "kind": LABELS[n % 3]} for n in range(90)
    ]
    (task / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = {
        "task": "task",
        "models": {"task": "openai/fake", "api_base": api_base},
        "search": {"demos": {"policies": ["static"]}},
        "test": {"baselines": 0},
        "cache": {"shared": False},
        "tracking": {"mlflow": None},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(run))
    sweep = {"base": "run.yaml", "matrix": {"seed": [*range(8)]}, "budget": {"calls": 8 * calls}, "parallel": 4}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    return folder / "sweep.yaml"


def light() -> None:
    """Let this process, a worker of Ray's perhaps, have an embedder that costs nothing."""
    from optimizer.testing.light import drop_charts, lighten

    lighten(setattr)
    drop_charts(setattr)


def cells() -> None:
    """Be metier, with an embedder that costs nothing: this machine's cores are not what is measured."""
    from optimizer.cli.main import main
    from optimizer.sweep import local, on_ray

    local.COMMAND = (sys.executable, __file__, "--metier")
    hook = {"worker_process_setup_hook": "limits.light"}
    on_ray.RayPlayer = partial(on_ray.RayPlayer, runtime_env=hook)  # type: ignore[misc, assignment]
    light()
    sys.argv = ["metier", *sys.argv[2:]]
    main()


def main() -> None:
    """Play, and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-minute", type=float, default=300)
    parser.add_argument("--calls", type=int, default=150, help="of each cell's search")
    parser.add_argument("--announced", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, FakeServer(answer, delay=0.3) as server:
        server.limit(options.per_minute, burst=BURST, announced=options.announced)
        sweep, home, last = write(Path(scratch), server.api_base, options.calls), Path(scratch) / "out", [0.0]
        command = [sys.executable, __file__, "--metier", "sweep", str(sweep), "--folder", str(home)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

        def read() -> None:
            assert child.stdout is not None
            for line in child.stdout:
                print(line, end="", flush=True)
                last[0] = time.monotonic() if "begins" in line else last[0]

        reader = threading.Thread(target=read)
        reader.start()
        assert child.wait() == 0
        reader.join()
        begun, end = server.times[0] + 60, last[0]
        window = [at for at in server.times if begun <= at < end]
        refused = [at for at in server.failed_at if begun <= at < end]
        used = (len(window) - len(refused)) / ((end - begun) / 60 * options.per_minute)
        print(f"{server.count} requests in {server.times[-1] - server.times[0]:.0f} s; {len(server.failed_at)} refused")
        print(f"all: {len(server.failed_at) / server.count:.1%} refused")
        print(f"{end - begun:.0f} s in the middle: {len(refused) / max(1, len(window)):.1%} refused, {used:.0%} used")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--metier"]:
        cells()
    else:
        main()
