"""Bars in a terminal or a notebook: the search, then the test."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from optimizer.errors import spelled_out
from optimizer.job.watcher import Watcher
from optimizer.ledger.trials import best_so_far

if TYPE_CHECKING:
    from tqdm import tqdm

    from optimizer.config.schema import RunConfig
    from optimizer.door.budget import Budget
    from optimizer.ledger.ledger import Ledger
    from optimizer.search.trials import Event
    from optimizer.task.task import Task


@contextmanager
def following(watcher: Watcher | None, progress: bool) -> Iterator[Watcher]:
    """Give the watcher that a caller wants: its own, bars, or a silent one."""
    if watcher is not None or not progress:
        yield watcher or Watcher()
        return
    bars = Progress()
    try:
        yield bars
    finally:
        bars.close()


class Progress(Watcher):
    """Draws the search by what is spent of its calls or by its trials, with the best score so far, and the test."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._scores: dict[int, list[float]] = {}
        self._ended = 0

    def say(self, text: str) -> None:
        """Write a message above the bar."""
        from tqdm import tqdm

        tqdm.write(spelled_out(text))

    def begin(self, config: RunConfig, task: Task, budget: Budget, ledger: Ledger) -> None:
        """Open the bar of the search; with folds one search follows the other."""
        self._scores, self._ended = {}, 0
        for note in task.notes:
            self.say(f"note: {note}")
        self._budget, self._calls = budget, config.budget.calls
        self._open(f"{task.name}: search", self._calls or config.planned, "call" if self._calls else "trial")

    def event(self, event: Event) -> None:
        """Move the bar on."""
        self._scores[event.number] = event.scores
        self._ended += event.kind == "ended"
        if self._bar is not None:
            if (best := self._best()) is not None:
                self._bar.set_postfix({"best": f"{best:.3f}", "trials": self._ended}, refresh=False)
            self._move(int(self._budget.used()["calls"][0]) if self._calls else self._ended)

    def end(self) -> None:
        """Close the bar of the search."""
        self.close()

    def testing(self, answered: int, planned: int, what: str) -> None:
        """Move the bar of the test on, opened with its first answer."""
        if self._bar is None or self._bar.desc.removesuffix(": ") != what:
            self._open(what, planned, "answer")
        self._move(answered)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _open(self, title: str, total: int | None, unit: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # in a notebook without ipywidgets the bar is text, which will do
            from tqdm.auto import tqdm

        self.close()
        self._bar = tqdm(desc=title, total=total, unit=unit)

    def _move(self, done: int) -> None:
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def _best(self) -> float | None:
        means = {number: sum(scores) / len(scores) for number, scores in self._scores.items() if scores}
        best = best_so_far((number, mean, len(self._scores[number])) for number, mean in means.items())
        return None if best is None else means[best]
