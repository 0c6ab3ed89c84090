"""DSPy's optimizers print and draw bars; the screen is the run's."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

_logger = logging.getLogger("optimizer.teleprompt")


class _Hushed:
    """A stream for some threads; what all others write goes into the log."""

    def __init__(self, stream: TextIO, heard: set[int | None]) -> None:
        self._stream, self.heard = stream, heard

    def write(self, text: str) -> int:
        if threading.get_ident() in self.heard:
            return self._stream.write(text)
        for line in text.replace("\r", "\n").splitlines():
            if line.strip():
                _logger.debug("%s", line.strip())
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what this thread prints, and those that it starts, off the screen."""
    before = sys.stdout, sys.stderr
    heard = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
    hushed = [_Hushed(stream, heard) for stream in before]
    sys.stdout, sys.stderr = hushed
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        heard.clear()  # only a bar that was never closed still has these streams
