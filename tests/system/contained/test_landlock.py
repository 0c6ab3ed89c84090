from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from optimizer.system.contained import landlock

ROOT = Path(__file__).parents[3]
HAS_IT = sys.platform == "linux" and landlock.version() >= landlock.LEAST


@pytest.mark.skipif(not HAS_IT, reason="no Landlock on this machine")
def test_it_holds_alone(tmp_path: Path) -> None:
    for name in ("own", "shown", "hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    code = """
import os, sys
from optimizer.system.contained.kernel import PR_SET_NO_NEW_PRIVS, prctl
from optimizer.system.contained.landlock import keep_only
top = sys.argv[1]
prctl(PR_SET_NO_NEW_PRIVS, 1)
keep_only([f"{top}/shown", f"{top}/absent", sys.prefix], f"{top}/own")
open(f"{top}/shown/file").read()
open(f"{top}/own/file", "w").write("y")
os.mkdir(f"{top}/own/new")
os.rename(f"{top}/own/file", f"{top}/own/new/file")
attempts = [
    lambda: open(f"{top}/hidden/file"),
    lambda: os.listdir(top),
    lambda: open(f"{top}/shown/file", "a"),
    lambda: os.truncate(f"{top}/hidden/file", 0),
    lambda: os.unlink(f"{top}/shown/file"),
    lambda: os.link(f"{top}/hidden/file", f"{top}/own/link"),
    lambda: os.rename(f"{top}/hidden/file", f"{top}/own/stolen"),
    lambda: os.execv("/bin/true", ["true"]),
]
for attempt in attempts:
    try: attempt()
    except OSError: print("refused")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["refused"] * 8
    assert (tmp_path / "own" / "new" / "file").read_text() == "y"
    assert (tmp_path / "hidden" / "file").read_text() == "x"


def test_an_old_kernel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 2)
    with pytest.raises(OSError, match="Landlock has version 2, and 3 is needed"):
        landlock.keep_only([], "/tmp")


def test_a_kernel_without_it_has_version_0(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(landlock, "syscall", refuse)
    assert landlock.version() == 0
