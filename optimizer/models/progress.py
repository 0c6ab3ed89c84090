"""How a download reports, and how it looks: a bar on a terminal, a line every tenth elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress(Protocol):
    """Told how far a download is, in bytes; `total` is 0 where it is not known."""

    def __call__(self, done: int, total: int, /) -> None:
        """Take note of `done` of `total` bytes."""


def silent(done: int, total: int, /) -> None:
    """Show no progress."""


class Bar:
    """A `Progress` for people, on standard error; use it in a `with` statement."""

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self._label = label
        self._stream = sys.stderr if stream is None else stream
        self._rich: RichProgress | None = None
        self._task: TaskID | None = None
        self._tenth = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._rich is not None:
            self._rich.stop()

    def __call__(self, done: int, total: int, /) -> None:
        """Show `done` of `total` bytes; a `total` of 0 is unknown."""
        if self._stream.isatty():
            self._draw(done, total)
        else:
            self._line(done, total)

    def say(self, text: str) -> None:
        """Write one line, above the bar if there is one."""
        if self._rich is not None:
            self._rich.console.print(text, markup=False, highlight=False)
        else:
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def _line(self, done: int, total: int) -> None:
        tenth = 10 * done // total if total else done // 100_000_000
        if tenth <= self._tenth:
            return
        self._tenth = tenth
        share = f"{10 * tenth} % of {total / 1e6:,.0f} MB" if total else f"{done / 1e6:,.0f} MB"
        self.say(f"{self._label}: {share}")

    def _draw(self, done: int, total: int) -> None:
        if self._rich is None or self._task is None:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
            from rich.progress import Progress as RichProgress

            text = TextColumn("{task.description}", markup=False)
            columns = (text, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            self._rich = RichProgress(*columns, console=Console(file=self._stream))
            self._task = self._rich.add_task(self._label, total=total or None)
            self._rich.start()
        self._rich.update(self._task, completed=done, total=total or None)
