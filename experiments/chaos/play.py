"""Plays one run through what befalls it, by real processes, beside the calm run of the same seed."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from experiments.chaos.disk import Disk
from experiments.chaos.job import HELPER, Job
from experiments.chaos.judge import Outcome, differences, outcome_of, paid_twice
from experiments.chaos.plan import Blow, Plan
from experiments.chaos.tracking import Tracking
from optimizer.errors import LedgerError
from optimizer.ledger.reader import Reader
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.faults import Fault
from optimizer.testing.forks import Forks

KILLED, REFUSED, STOPPED = -signal.SIGKILL, 2, 3
CHANGED = HELPER.replace("expected == seen", "expected != seen")
PATIENCE = 120.0  # seconds for one process
LAST = 4  # attempts at the end: a run of many faults may be stopped by them


@dataclass
class House:
    """What the runs share: processes, the two models, and MLflow, where it is wanted."""

    folder: Path
    forks: Forks
    model: FakeServer
    writer: FakeServer
    tracking: Tracking | None = None

    @property
    def servers(self) -> tuple[FakeServer, FakeServer]:
        """Both models."""
        return self.model, self.writer

    @property
    def count(self) -> int:
        """How many requests came."""
        return sum(server.count for server in self.servers)


def play_calm(house: House, job: Job) -> Outcome:
    """Run a job undisturbed."""
    folder = house.folder / f"job-{job.seed}"
    uri = house.tracking.uri if house.tracking else None
    config = job.make(folder, house.model.api_base, house.writer.api_base, uri)
    out, log = folder / "calm", folder / "calm.log"
    code = house.forks.run("run", config, "--run-dir", out, "--quiet", log=log, haste=True)
    assert code == 0, log.read_text()
    return outcome_of(out, house.tracking)


@dataclass
class Play:
    """One run of a job and what befalls it."""

    house: House
    job: Job
    name: str
    plan: Plan
    findings: list[str] = field(default_factory=list)
    kills: int = 0
    cut_off: int = 0  # processes that did not come to their end
    struck: list[str] = field(default_factory=list)
    begun: bool = False
    lost: int = 0

    def __post_init__(self) -> None:
        self.folder = self.house.folder / f"job-{self.job.seed}"
        self.config, self.task = self.folder / "run.yaml", self.folder / "task"
        self.log = self.folder / f"{self.name}.log"
        self.disk = Disk(self.folder / self.name)
        self.out = self.disk.folder

    def play(self, calm: Outcome) -> None:
        """Play it to its end and hold it against the calm run; what is wrong is in `findings`."""
        before = [server.bodies.copy() for server in self.house.servers]
        try:
            for blow in self.plan.blows:
                self._weather(blow)
                if blow.kind is None:
                    self._to_the_end(blow)
                else:
                    getattr(self, f"_{blow.kind}")(blow)
                self.disk.mend()
            if not self.findings:
                self._judge(calm, before)
        finally:
            (self.task / "helper.py").write_text(HELPER)
            for server in self.house.servers:
                server.forgive()
            if self.house.tracking:
                self.house.tracking.come_back()
            if self.findings:
                shutil.copytree(self.out, self.out.with_name(f"{self.name}-kept"))
            self.disk.close()
            shutil.rmtree(self.out, ignore_errors=True)

    def _judge(self, calm: Outcome, before: list[Any]) -> None:
        if self.house.tracking and self.job.mirrored:
            self.house.tracking.come_back()
            self._expect(self._run("track", "sync", self.out), {0}, "the mirror's end")
        asked = self.house.count
        self._expect(self._run("resume", self.out, "--quiet"), {0}, "the finished run, once more")
        if self.house.count != asked:
            self.findings.append("a finished run asked again")
        outcome = outcome_of(self.out, self.house.tracking if self.job.mirrored else None)
        self.lost = outcome.result["lost_calls"]
        self.findings += differences(calm, outcome, bool(self.cut_off or self.plan.faults))
        paid = [server.bodies - known for server, known in zip(self.house.servers, before, strict=True)]
        in_flight = yaml.safe_load(self.config.read_text())["models"]["concurrency"]
        self.findings += paid_twice(outcome, paid, in_flight * self.cut_off)
        text = self.log.read_text()
        for sign in ("Traceback", "internal error"):
            if sign in text:
                self.findings.append(f"{sign} in {self.log}")

    def _weather(self, blow: Blow) -> None:
        for server in self.house.servers:
            server.forgive()
            if self.plan.faults:
                server.gamble(self.plan.faults)
        if self.house.tracking:
            (self.house.tracking.go_away if blow.away else self.house.tracking.come_back)()

    def _start(self, blow: Blow, **options: Any) -> int:
        by_resume = blow.by_resume and self.begun
        words = ("resume", self.out) if by_resume else ("run", self.config, "--run-dir", self.out)
        return self.house.forks.start(
            *words, "--quiet", log=self.log, slow=blow.slow, jumps=blow.jumps, haste=True, **options
        )

    def _run(self, *words: str | Path, **options: Any) -> int:
        return self._end(self.house.forks.start(*words, log=self.log, haste=True, **options))

    def _end(self, pid: int, meanwhile: Callable[[], bool] = lambda: False) -> int:
        """Wait until a process has ended, or `meanwhile` is true and it was killed; returns its code."""
        deadline = time.monotonic() + PATIENCE
        while (code := self.house.forks.poll(pid)) is None:
            if meanwhile() or time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                code = self.house.forks.wait(pid)
                if time.monotonic() > deadline:
                    self.findings.append(f"a process did not end in {PATIENCE:.0f} s")
                break
            time.sleep(0.005)
        self.kills += code == KILLED
        self.cut_off += code != 0
        self.begun = self.begun or self._can_go_on()
        return code

    def _can_go_on(self) -> bool:
        """Whether `metier resume` can take the run up. A copy is asked: whoever opens a ledger may change it.

        Bytes alone do not tell: a kill may leave those of a transaction that was never committed.
        """
        with TemporaryDirectory() as copy, suppress(LedgerError):
            for path in self.out.glob("ledger.db*"):
                shutil.copy(path, copy)
            with closing(Reader(Path(copy) / "ledger.db")) as ledger:
                return ledger.meta("identity") is not None
        return False

    def _expect(self, code: int, codes: set[int], what: str, *texts: str) -> None:
        self.struck.append(what)
        if code not in codes:
            self.findings.append(f"{what}: exit code {code}; {self._said()}")
        elif code == REFUSED and texts and not any(text in self._said() for text in texts):
            self.findings.append(f"{what}: {self._said()}")

    def _said(self) -> str:
        return self.log.read_text()[-800:]

    def _kill(self, blow: Blow) -> None:
        target, moment = self.house.count + blow.after, float("inf")

        def strikes() -> bool:
            nonlocal moment
            if self.house.count >= target and moment == float("inf"):
                moment = time.monotonic() + blow.delay
            return time.monotonic() >= moment

        self._expect(self._end(self._start(blow), strikes), {KILLED, 0, STOPPED}, "kill")

    def _kill_at(self, blow: Blow) -> None:
        pid = self._start(blow, at=f"{blow.point}:{blow.passage}")
        self._expect(self._end(pid), {KILLED, 0, STOPPED}, "kill_at")

    def _full(self, blow: Blow) -> None:
        self.disk.fill(blow.room)
        code = self._end(self._start(blow))
        self._expect(code, {0, REFUSED, STOPPED}, "full", "written", "not a usable ledger", "created")

    def _files_full(self, blow: Blow) -> None:
        code = self._end(self._start(blow, largest=4096 + blow.room))
        self._expect(code, {0, REFUSED, STOPPED}, "files_full", "written", "not a usable ledger")

    def _read_only(self, blow: Blow) -> None:
        if self.disk.real and self.disk.protect():
            asked = self.house.count
            texts = ("written", "not a usable ledger", "folder to write in", "unable to open", "no run lies here")
            self._expect(self._end(self._start(blow)), {REFUSED}, "read_only", *texts)
            if self.house.count != asked:
                self.findings.append("a call was made that cannot be recorded")

    def _helper(self, blow: Blow) -> None:
        if not self.begun:
            return
        asked = self.house.count
        (self.task / "helper.py").write_text(CHANGED)
        for accept in ((), ("--accept-changes",)):
            code = self._run("resume", self.out, *accept)
            self._expect(code, {REFUSED}, "helper", "task.metric: python:metric.py:score@")
        (self.task / "helper.py").write_text(HELPER)
        if self.house.count != asked:
            self.findings.append("a run whose metric changed asked")

    def _second(self, blow: Blow) -> None:
        target = self.house.count + min(blow.after, 5) + 1
        for server in self.house.servers:
            server.delay = 0.05
        first = self._start(blow)
        deadline = time.monotonic() + PATIENCE
        code = None
        while code is None and self.house.count < target and time.monotonic() < deadline:
            code = self.house.forks.poll(first)
            time.sleep(0.005)
        try:
            if code is not None:  # it had ended before
                self._expect(code, {0, STOPPED}, "second")
                return
            self.begun = True
            codes = self._run("resume", self.out), self.house.forks.poll(first)
        finally:
            for server in self.house.servers:
                server.delay = 0.0
        if codes[1] is None:
            self._expect(codes[0], {REFUSED}, "second", "another process is working on this run")
            self._expect(self._end(first), {0, STOPPED}, "second")
        else:
            self._expect(codes[1], {0, STOPPED}, "second")

    def _outage(self, blow: Blow) -> None:
        target, broken = self.house.count + blow.after, False

        def breaks() -> bool:
            nonlocal broken
            if self.house.count >= target and not broken:
                broken = True
                for server in self.house.servers:
                    server.break_down(Fault("hang_up") if blow.passage > 2 else Fault("status", 503))
            return False

        self._expect(self._end(self._start(blow), breaks), {0, STOPPED}, "outage")

    def _to_the_end(self, blow: Blow) -> None:
        for _ in range(LAST):
            code = self._end(self._start(blow))
            if code != STOPPED:
                break
        self._expect(code, {0}, "the end")


def remove(folder: Path) -> None:
    """Throw away what a job left."""
    with suppress(OSError):
        shutil.rmtree(folder)
