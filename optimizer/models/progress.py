"""How a download shows its progress: a bar on a terminal, a line every tenth elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

# Called with the bytes done and the bytes in all, 0 where that is not known.
Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Show no progress."""


class Bar:
    """A `Progress` for people, on standard error; use it in a `with` statement."""

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self._label = label
        self._stream = sys.stderr if stream is None else stream
        self._drawn: tuple[RichProgress, TaskID] | None = None
        self._tenth = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._drawn is not None:
            self._drawn[0].stop()

    def __call__(self, done: int, total: int) -> None:
        """Show `done` of `total` bytes; a `total` of 0 is unknown."""
        if self._stream.isatty():
            bar, task = self._drawn = self._drawn or self._draw()
            bar.update(task, completed=done, total=total or None)
            return
        tenth = 10 * done // total if total else done // 100_000_000
        if tenth > self._tenth:
            self._tenth = tenth
            share = f"{10 * tenth} % of {total / 1e6:,.0f} MB" if total else f"{done / 1e6:,.0f} MB"
            self.say(f"{self._label}: {share}")

    def say(self, text: str) -> None:
        """Write one line, above the bar if there is one."""
        if self._drawn is not None:
            self._drawn[0].console.print(text, markup=False, highlight=False)
        else:
            print(text, file=self._stream, flush=True)

    def _draw(self) -> tuple[RichProgress, TaskID]:
        from rich import progress
        from rich.console import Console

        label = progress.TextColumn("{task.description}", markup=False)
        sizes = (progress.DownloadColumn(), progress.TransferSpeedColumn(), progress.TimeRemainingColumn())
        bar = progress.Progress(label, progress.BarColumn(), *sizes, console=Console(file=self._stream))
        bar.start()
        return bar, bar.add_task(self._label, total=None)
