"""What a contained process tries first on a machine: each attempt must be refused by the kernel."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def run(job: Mapping[str, Any]) -> Iterator[dict[str, bool]]:
    """Yield by its name whether each attempt was refused; `file` is one that the account may read and write."""
    file = job["file"]
    yield {
        "reading files": _is_refused(lambda: os.open(file, os.O_RDONLY)),
        "writing files": _is_refused(lambda: os.open(file, os.O_WRONLY | os.O_TRUNC)),
        "emptying files": _is_refused(lambda: os.truncate(file, 0)),
        "making files": _is_refused(lambda: os.open(f"{file}.new", os.O_WRONLY | os.O_CREAT, 0o600)),
        "deleting files": _is_refused(lambda: os.unlink(file)),
        "modes of files": _is_refused(lambda: os.chmod(file, 0o600)),
        "the network": _is_refused(_connect),
        "new processes": _is_refused(_fork),
        "signals to others": _is_refused(lambda: os.kill(job["parent"], 0)),
    }


def _is_refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return True
    return False


def _connect() -> None:
    import socket

    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)
