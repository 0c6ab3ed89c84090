"""Fuzz every file and reply that metier reads: `python -m experiments.fuzz --inputs 10000`.

Each kind has a process of its own, with limits on memory, files and time; the processes run one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
# Of the processor; and by the clock, for what waits: a busy machine makes anything slow.
SECONDS, PATIENCE = 5.0, 60.0
# A disk in memory: a ledger waits for a true one at each commit.
MEMORY = "/dev/shm"  # noqa: S108
# Hypothesis keeps what it draws: after so many inputs it begins anew, with another seed, and forgets.
EACH = 500
# Bytes of address space beyond what the imports take: a runaway ends in MemoryError, not in a machine without memory.
ROOM = 4_000_000_000


class Hang(BaseException):
    """An input took longer than SECONDS of the processor, or PATIENCE by the clock."""


class Enough(KeyboardInterrupt):
    """The minutes are over; hypothesis lets it through."""


def ring(number: int, frame: FrameType | None) -> None:
    """End the input that is at work."""
    raise Hang


def wind(seconds: float) -> None:
    """Let the bell ring after so many seconds of the processor; 0 stops it."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE if seconds else 0)


def origin(problem: BaseException) -> str:
    """Return what names a finding: the exception and the last line of ours, and the last of all."""
    frames = traceback.extract_tb(problem.__traceback__)
    ours = [frame for frame in frames if "/optimizer/" in frame.filename and "/testing/" not in frame.filename]
    ends = dict.fromkeys(f"{Path(f.filename).name}:{f.lineno}" for f in (*ours[-1:], *frames[-1:]))
    return f"{type(problem).__name__} {' '.join(ends)}"


def memory(what: str) -> float:
    """Return this process's VmRSS or VmHWM, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def fuzz(name: str, inputs: int, seed: int, minutes: float) -> dict[str, Any]:
    """Give one kind so many inputs; returns counts, findings by origin, the slowest input and the memory."""
    bare = memory("VmRSS")
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    from experiments.fuzz.kinds import KINDS

    sys.path.insert(0, str(ROOT / "tests"))
    findings: dict[str, dict[str, Any]] = {}
    counts = {"inputs": 0, "worked": 0, "finding": 0}
    slowest = 0.0
    started: list[float] = []
    for bell in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(bell, ring)
    with tempfile.TemporaryDirectory(dir=MEMORY if Path(MEMORY).is_dir() else None) as folder:
        os.chdir(folder)
        os.environ["METIER_CACHE"] = folder
        tempfile.tempdir = folder
        with KINDS[name](Path(folder)) as kind:
            options = settings(
                database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
            )

            def one(made: Any) -> None:
                nonlocal slowest
                if time.monotonic() - begun > 60 * minutes:
                    raise Enough
                if counts["inputs"] == 50:  # by then everything is imported
                    started.append(memory("VmRSS"))
                    space = resource.getrlimit(resource.RLIMIT_AS)[1]
                    taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf(
                        "SC_PAGE_SIZE"
                    )
                    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, space))
                counts["inputs"] += 1
                started_at = time.process_time()
                wind(SECONDS if counts["inputs"] > 50 else PATIENCE)
                try:
                    counts["worked"] += not kind.act(made)
                except (Exception, Hang) as problem:  # noqa: BLE001 - that is what is looked for
                    wind(0)
                    counts["finding"] += 1
                    shown = {
                        "input": repr(made)[:3000],
                        "trace": "".join(traceback.format_exception(problem, limit=-12))[-3000:],
                    }
                    key = origin(problem)
                    if key not in findings or len(shown["input"]) < len(findings[key]["input"]):
                        findings[key] = {**shown, "count": findings.get(key, {}).get("count", 0)}
                    findings[key]["count"] += 1
                finally:
                    wind(0)
                if counts["inputs"] > 50:
                    slowest = max(slowest, time.process_time() - started_at)

            begun = time.monotonic()
            with suppress(Enough):
                for first in range(0, inputs, EACH):
                    count = min(EACH, inputs - first)
                    seeded(1_000_000 * seed + first)(settings(options, max_examples=count)(given(kind.inputs)(one)))()
            seconds = time.monotonic() - begun
        os.chdir("/")
    start = started[0] if started else memory("VmRSS")
    figures = {"bare": round(bare), "start": round(start), "peak": round(memory("VmHWM"))}
    return {
        "kind": name,
        **counts,
        "seconds": round(seconds),
        "slowest": round(slowest, 2),
        "mb": figures,
        "findings": findings,
    }


def child(name: str, inputs: int, seed: int, minutes: float, out: Path) -> dict[str, Any]:
    """Fuzz a kind in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "experiments.fuzz",
        "--kind",
        name,
        "--inputs",
        str(inputs),
        "--seed",
        str(seed),
        "--minutes",
        str(minutes),
        "--out",
        str(out),
    ]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=7200)
    file = out / f"{name}.json"
    if done.returncode or not file.exists():
        return {"kind": name, "inputs": 0, "finding": 1, "died": done.returncode, "stderr": done.stderr[-3000:]}
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return data


def line(result: dict[str, Any]) -> str:
    """Return a kind's row of the table."""
    if "died" in result:
        return f"| `{result['kind']}` | died with {result['died']}: {result['stderr'][-500:]} |"
    mb = result["mb"]
    cells = (
        f"`{result['kind']}`",
        f"{result['inputs']:,}",
        f"{result['worked']:,}",
        result["finding"],
        f"{result['slowest']} s",
        f"{mb['peak'] - mb['start']} MB",
        f"{result['seconds']} s",
    )
    return f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    """Fuzz the kinds that are named, or all; returns 1 where something was found."""
    from experiments.fuzz.kinds import KINDS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--kind", choices=list(KINDS), help="that one, in this process")
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=100.0, help="that a kind may take")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"))
    options = parser.parse_args()
    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    if options.kind:
        warnings.simplefilter("ignore")
        result = fuzz(options.kind, options.inputs, options.seed, options.minutes)
        (out / f"{options.kind}.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
        return 0
    print("| kind | inputs | worked | findings | slowest | memory | took |\n|---|---|---|---|---|---|---|")
    found = 0
    for name in options.kinds:
        result = child(name, options.inputs, options.seed, options.minutes, out)
        found += result["finding"]
        print(line(result), flush=True)
        for key, finding in result.get("findings", {}).items():
            print(f"    {finding['count']} × {key}", flush=True)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
