from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from optimizer.errors import TaskError
from optimizer.system.contained import run as module
from optimizer.system.contained.run import LARGEST, Limits, lacking, layers, run

ROOT = Path(__file__).parents[3]
CODE = "optimizer.task.metrics.inside_code"
PROBE = "optimizer.system.contained.probe"
here = pytest.mark.skipif(bool(lacking()), reason=f"this machine cannot contain code: {lacking()}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def job(answer: str, tests: str = "assert True") -> dict[str, Any]:
    return {"answer": answer, "tests": tests}


@here
def test_a_result_comes_back_and_nothing_stays_behind(folder: Path) -> None:
    outcome = run(CODE, job("open('file', 'w').write('x')"), Limits())
    assert outcome.result == {"passed": [True], "remarks": []}
    assert outcome.why == ""
    assert outcome.steps == 1
    assert all(outcome.layers[name] for name in ("files", "calls", "limits", "parent"))
    assert list(folder.iterdir()) == []


@here
def test_many_at_once_know_nothing_of_each_other(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        jobs = [job(f"x = {number}", f"assert x == {number}") for number in range(24)]
        outcomes = list(pool.map(lambda one: run(CODE, one, Limits(30)), jobs))
    assert [outcome.result for outcome in outcomes] == [{"passed": [True], "remarks": []}] * 24
    assert list(folder.iterdir()) == []


@here
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("while True: pass", "it ran for more than 0.2 seconds"),
        ("import os; os._exit(3)", "it ended before its report"),
        ("import os; os.abort()", "it was ended by SIGABRT"),
        (
            f"import os\nfor n in range(3, 9):\n try: os.write(n, b'x' * {2 * LARGEST})\n except OSError: pass",
            "reported too much",
        ),
    ],
)
def test_why_there_is_no_result(answer: str, why: str, folder: Path) -> None:
    outcome = run(CODE, job(answer), Limits(0.2 if "while" in answer else 30))
    assert outcome.result is None
    assert why in outcome.why
    assert list(folder.iterdir()) == []


@here
def test_only_files_that_are_named_can_be_read(tmp_path: Path) -> None:
    for name in ("shown", "hidden"):
        (tmp_path / name).write_text("x")
    for name, is_read in (("shown", True), ("hidden", False)):
        outcome = run(CODE, job(f"open({str(tmp_path / name)!r}).read()"), Limits(), [tmp_path / "shown"])
        assert outcome.result is not None
        assert outcome.result["passed"] == [is_read]


ASKING = """
import os, sys, threading, time
from optimizer.system.contained.run import Limits, run
job = {"answer": "import time; time.sleep(1000)", "tests": "assert True"}
threading.Thread(target=run, args=(sys.argv[1], job, Limits(1000)), daemon=True).start()
children = []
while not children or not os.path.exists(f"/proc/{children[0]}"):
    time.sleep(0.5)
    with open(f"/proc/self/task/{threading.enumerate()[1].native_id}/children") as file: children = file.read().split()
print(children[0], flush=True)
os.kill(os.getpid(), 9)
"""


@here
def test_it_ends_with_the_process_that_asked(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", ASKING, CODE]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    state = Path(f"/proc/{int(done.stdout)}/stat")
    for _ in range(500):
        if not state.exists() or ") Z " in state.read_text():
            return
        time.sleep(0.02)
    raise AssertionError("it lives on")


@here
def test_this_machine_refuses_each_attempt() -> None:
    problem, refused = layers()
    assert problem == ""
    assert len(refused) == 9
    assert all(refused.values())
    assert lacking() == ""


def test_other_systems_say_what_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "platform", "darwin")
    monkeypatch.setattr(module.platform, "system", lambda: "Darwin")
    layers.cache_clear()
    try:
        assert lacking() == "Darwin has no Landlock and no seccomp"
        assert lacking(weak=True) == ""
    finally:
        layers.cache_clear()


def test_what_is_not_refused_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "layers", lambda: ("", {"reading files": False, "the network": False, "x": True}))
    assert lacking() == "reading files, the network"


@pytest.mark.parametrize(
    ("python", "parts"),
    [("/nowhere/python", ["No such file"]), ("/bin/false", ["it ended with code 1", "Check your installation"])],
)
def test_a_python_that_does_not_start_is_told(python: str, parts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(TaskError) as caught:
        run(CODE, job(""), Limits())
    for part in ["no contained process can be started", *parts]:
        assert part in str(caught.value)
