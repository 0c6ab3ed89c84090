"""The disk that a run's folder lies on: a small one of its own, that can be full or read-only, where we may mount."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

ROOMY = "64m"
LINGERS = 20.0  # seconds
PAGE = os.sysconf("SC_PAGE_SIZE")


class Disk:
    """A tmpfs of one folder; `real` is false where this user may not mount, and nothing happens."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.real = self._mount("-t", "tmpfs", "-o", f"size={ROOMY},mode=0700", "tmpfs")

    def fill(self, room: int) -> None:
        """Leave so many bytes."""
        usage = os.statvfs(self.folder)
        used = (usage.f_blocks - usage.f_bfree) * usage.f_frsize
        self._mount("-o", f"remount,size={max(PAGE, used + room)}")

    def protect(self) -> bool:
        """Let nothing be written; False where a process still holds a file, as a mirror does that outlives its run."""
        deadline = time.monotonic() + LINGERS
        while not (done := self._mount("-o", "remount,ro")) and time.monotonic() < deadline:
            time.sleep(0.1)
        return done

    def mend(self) -> None:
        """Have room again, to be written."""
        self._mount("-o", f"remount,rw,size={ROOMY}")

    def close(self) -> None:
        """Throw all of it away."""
        with suppress(OSError):
            if self.real:
                subprocess.run(["umount", "-l", str(self.folder)], check=True)  # noqa: S607

    def _mount(self, *options: str) -> bool:
        command = ["mount", *options, str(self.folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
