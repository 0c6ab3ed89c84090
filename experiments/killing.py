"""Kills a command at random passages of its crash points, and gives it again until it ends.

What the experiments of kills share: `experiments/migration/kills.py` and `experiments/batch/kills.py`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from optimizer.ledger.calls import answered_keys
from optimizer.ledger.reader import Reader
from optimizer.ledger.spend import lost_calls
from optimizer.testing.fake_server import Messages, text_of
from optimizer.testing.forks import Forks

LABELS = {"fruit": ("apple", "pear"), "metal": ("iron", "zinc"), "bird": ("owl", "crow")}
TRUTH = {word: label for label, words in LABELS.items() for word in words}


def rule(messages: Messages) -> str:
    """Answer rightly where the labels are listed or a demo shows the same word; else with the first label."""
    text = "\n".join(text_of(message) for message in messages)
    word = max(TRUTH, key=text.rfind)
    return TRUTH[word] if text.count(word) > 1 or all(label in text for label in LABELS) else "fruit"


def write_task(folder: Path) -> Path:
    """Write the task of sorting sentences by a word in them; returns its folder."""
    task = folder / "task"
    task.mkdir()
    rows = [{"text": f"the {n} store has {word}", "kind": label} for n in range(40) for word, label in TRUTH.items()]
    (task / "examples.jsonl").write_text("\n".join(map(json.dumps, rows)))
    spec: dict[str, Any] = {
        "name": "sorting",
        "inputs": {"text": {"desc": "a sentence"}},
        "outputs": {"kind": {"choices": list(LABELS)}},
        "instruction": "Sort it.",
        "data": {"path": "examples.jsonl"},
        "split": {"train": 0.6, "validation": 0.1, "test": 0.3},
        "metric": "choice",
    }
    (task / "task.yaml").write_text(yaml.safe_dump(spec))
    return task


def recorded(out: Path) -> tuple[int, int]:
    """Return how many calls the ledgers below a folder hold as answered, and as lost."""
    done = lost = 0
    for file in out.rglob("ledger.db"):
        with closing(Reader(file)) as ledger:
            done, lost = done + len(answered_keys(ledger)), lost + lost_calls(ledger)
    return done, lost


@dataclass(frozen=True)
class Command:
    """A command of metier's, but for the folder that it works in, which stands last after `option`."""

    words: Sequence[str]
    option: str
    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    ended: tuple[int, ...] = (0,)  # its exit codes at its end

    def run(self, forks: Forks, out: Path, **more: Any) -> int:
        """Run it to its end; returns the exit code."""
        return forks.run(*self.words, self.option, out, log=self.folder / "log", **self.options, **more)

    def passed(self, forks: Forks, out: Path) -> dict[str, int]:
        """Run it in peace; returns how often each crash point was passed."""
        counts = self.folder / "counts.json"
        assert self.run(forks, out, count=counts) in self.ended, self.log()
        return {point: count for point, count in json.loads(counts.read_text()).items() if count}

    def kill(self, forks: Forks, out: Path, at: str | float) -> bool:
        """Kill it at the passage of a point, or after so many seconds; False where it came to its end before."""
        if isinstance(at, str):
            return self.run(forks, out, at=at) == -9
        pid = forks.start(*self.words, self.option, out, log=self.folder / "log", **self.options)
        until = time.monotonic() + at
        while (code := forks.poll(pid)) is None and time.monotonic() < until:
            time.sleep(0.01)
        if code is not None:
            return False
        os.kill(pid, signal.SIGKILL)
        return forks.wait(pid) == -9

    def log(self) -> str:
        """Return what it has printed."""
        return (self.folder / "log").read_text()


def killed(
    command: Command,
    forks: Forks,
    passed: Mapping[str, int],
    kills: int,
    seed: int,
    most: int = 1,
    seconds: float | None = None,
) -> Iterator[tuple[int, str, Path]]:
    """Kill a command so often, each time in a new folder, and give it again until it ends.

    A run is killed up to `most` times, at passages drawn anew, or, where `seconds` say how long it takes, half of the
    times at a moment of its time. Yields the number of kills so far, where this run was killed, and its folder.
    """
    chance, struck = random.Random(seed), 0  # noqa: S311
    while struck < kills:
        out, points = command.folder / f"out{struck}", list[str]()
        for _ in range(chance.randint(1, most)):
            point = chance.choice(sorted(passed))
            at: str | float = f"{point}:{chance.randint(1, passed[point])}"
            if seconds is not None and chance.random() < 0.5:
                at = chance.uniform(0, seconds)
            if struck + len(points) < kills and command.kill(forks, out, at):
                points.append(at if isinstance(at, str) else f"{at:.2f} s")
        if points:
            struck += len(points)
            assert command.run(forks, out) in command.ended, command.log()
            yield struck, ", ".join(points), out
