"""Real runs under random troubles, each held against the calm run of its seed.

Run: python -m experiments.chaos --runs 200 --seed 1 [--jobs 2] [--only 17] [--keep FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from experiments.chaos.job import Job, answer, write_instruction
from experiments.chaos.plan import draw
from experiments.chaos.play import House, Play, play_calm, remove
from experiments.chaos.tracking import Tracking
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.forks import Forks

# So many runs are held against one calm one; every 25th job is mirrored to MLflow.
EACH, MIRRORED = 4, 25


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the runs, print a line each and the sums; returns 1 where a run differs from its calm one."""
    parser = argparse.ArgumentParser(prog="python -m experiments.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="how many are played at once")
    parser.add_argument("--only", type=int, metavar="RUN", help="play one of them")
    parser.add_argument("--calm-mlflow", action="store_true", help="mirror nothing to MLflow")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep what runs leave that differ")
    options = parser.parse_args(arguments)
    begun, numbers = time.monotonic(), range(options.runs) if options.only is None else [options.only]
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        series = [[n for n in numbers if n // EACH % options.jobs == lane] for lane in range(options.jobs)]
        pool = stack.enter_context(ThreadPoolExecutor(options.jobs))
        lanes = [
            pool.submit(play_lane, folder / str(lane), options.seed, runs, not options.calm_mlflow)
            for lane, runs in enumerate(series)
        ]
        plays = [play for lane in lanes for play in lane.result()]
    struck = Counter(what for play in plays for what in play.struck)
    bad = [play for play in plays if play.findings]
    print(f"seed {options.seed}: {len(plays) - len(bad)} of {len(plays)} runs are as their calm run")
    kills, lost = sum(play.kills for play in plays), sum(play.lost for play in plays)
    print(f"{kills} kills, {lost} calls lost in flight; {dict(struck.most_common())}; {time.monotonic() - begun:.0f} s")
    print(*(line for play in bad for line in (play.name, *_findings(play))), sep="\n")
    return 1 if bad else 0


def play_lane(folder: Path, seed: int, numbers: Sequence[int], mlflow: bool = True) -> list[Play]:
    """Play runs one after the other; returns them."""
    plays: list[Play] = []
    mirrored = {n for n in numbers if mlflow and n // EACH % MIRRORED == MIRRORED - 1}
    with ExitStack() as stack:
        forks = stack.enter_context(Forks())
        model, writer = (stack.enter_context(FakeServer(by)) for by in (answer, write_instruction))
        tracking = stack.enter_context(Tracking(folder / "mlflow")) if mirrored else None
        for number in numbers:
            job = Job(1000 * seed + number // EACH, number in mirrored)
            house = House(folder, forks, model, writer, tracking if job.mirrored else None)
            if number % EACH == 0 or not plays:
                calm = play_calm(house, job)
            began = time.monotonic()
            plays.append(Play(house, job, f"run-{number}", draw(f"{seed} {number}", job.mirrored)))
            plays[-1].play(calm)
            print(f"{plays[-1].name}: {time.monotonic() - began:.1f} s", *_findings(plays[-1]), sep="\n", flush=True)
            if number % EACH == EACH - 1 and not any(play.findings for play in plays[-EACH:]):
                remove(folder / f"job-{job.seed}")
    return plays


def _findings(play: Play) -> list[str]:
    """Return what was wrong, a line each, and what befell the run; nothing where nothing was."""
    blows = f"{'; '.join(map(str, play.plan.blows))}; faults {play.plan.faults and play.plan.faults.share}"
    return [*(f"  {finding}" for finding in play.findings), f"  {blows}"] if play.findings else []


if __name__ == "__main__":
    sys.exit(main())
