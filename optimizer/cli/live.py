"""What a person sees while a run works: a live view on a terminal, plain lines on a pipe."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from optimizer.run import Watcher

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from optimizer.config.schema import RunConfig
    from optimizer.door.budget import Budget
    from optimizer.ledger.ledger import Ledger
    from optimizer.search.trials import Event
    from optimizer.task.task import Task

UNITS = {"calls": "calls", "tokens": "tokens", "usd": "dollars", "seconds": "seconds"}


def make_watcher(quiet: bool) -> Watcher:
    """Return the view that fits: none, a live one on a terminal, or lines on a pipe."""
    if quiet:
        return Watcher()
    return LiveView() if sys.stdout.isatty() else Lines()


class Lines(Watcher):
    """One plain line for each trial that ends."""

    def say(self, text: str) -> None:
        """Print one line of news."""
        click.echo(text)

    def begin(self, config: RunConfig, task: Task, budget: Budget, ledger: Ledger) -> None:
        """Say what is about to be searched."""
        self.state = State(config, budget, ledger)
        self.say(f"{task.name}: {len(task.train)} train, {len(task.validation)} validation, {len(task.test)} test")
        for note in task.notes:
            self.say(f"note: {note}")

    def event(self, event: Event) -> None:
        """Print a trial that ended."""
        self.state.take(event)
        if event.kind == "ended":
            self.say(f"{_trial_line(event)}; best {self.state.best_text()}; {self.state.spent_text()}")


class LiveView(Watcher):
    """A panel that is redrawn: best score, trials, budget, time left, the last trials."""

    SHOWN = 8

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console()
        self.live: Live | None = None
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """Print one line above the panel."""
        self.console.print(text, markup=False, highlight=False)

    def begin(self, config: RunConfig, task: Task, budget: Budget, ledger: Ledger) -> None:
        """Start the panel."""
        from rich.live import Live

        self.state, self.title = State(config, budget, ledger), task.name
        for note in task.notes:
            self.say(f"note: {note}")
        self.live = Live(console=self.console, get_renderable=self._table, refresh_per_second=2)
        self.live.start()

    def event(self, event: Event) -> None:
        """Take note of a trial that moved on."""
        self.state.take(event)
        if event.kind == "ended":
            self.lines = [*self.lines, _trial_line(event)][-self.SHOWN :]

    def end(self) -> None:
        """Leave the panel as it is."""
        if self.live is not None:
            self.live.stop()
            self.live = None

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self.title, show_header=False, expand=False, title_justify="left")
        table.add_row("best", self.state.best_text())
        table.add_row("trials", f"{self.state.ended} of at most {self.state.trials}, {len(self.state.racing)} racing")
        table.add_row("budget", self.state.spent_text())
        table.add_row("time", f"{self.state.elapsed():.0f} s, {self.state.left_text()}")
        for line in self.lines:
            table.add_row("", Text(line, overflow="ellipsis", no_wrap=True))
        return table


class State:
    """What both views show, gathered from the events and the budget."""

    def __init__(self, config: RunConfig, budget: Budget, ledger: Ledger) -> None:
        self.trials, self._budget, self._ledger = config.search.trials, budget, ledger
        self._start = time.monotonic()
        self.ended = 0
        self.racing: set[int] = set()
        self._scores: dict[int, list[float]] = {}

    def take(self, event: Event) -> None:
        """Take note of an event."""
        self._scores[event.number] = event.scores
        if event.kind == "ended":
            self.ended += 1
            self.racing.discard(event.number)
        else:
            self.racing.add(event.number)

    def best_text(self) -> str:
        """Return the best score among the trials that saw most, with its interval."""
        from optimizer.evaluate.statistics import interval, mean

        seen = [scores for scores in self._scores.values() if scores]
        if not seen:
            return "none yet"
        longest = max(map(len, seen))
        best = max((scores for scores in seen if 2 * len(scores) >= longest), key=mean)
        low, high = interval(best)
        return f"{mean(best):.3f} [{low:.2f}, {high:.2f}] on {len(best)} validation examples"

    def spent_text(self) -> str:
        """Return what was spent, against each limit that is set."""
        used = self._budget.used()
        if not used:
            from optimizer.ledger.records import usage_by_role
            from optimizer.types import Usage

            total = sum(usage_by_role(self._ledger, "search").values(), Usage())
            return f"{total.calls:,} calls, {total.tokens:,} tokens, no limit"
        return ", ".join(f"{_figure(n, spent)} of {_figure(n, limit)} {UNITS[n]}" for n, (spent, limit) in used.items())

    def elapsed(self) -> float:
        """Return the seconds since the search began."""
        return time.monotonic() - self._start

    def left_text(self) -> str:
        """Return a forecast of the time left: by the fastest-spent limit, or the trials."""
        shares = [spent / limit for spent, limit in self._budget.used().values()]
        share = max([*shares, self.ended / self.trials], default=0.0)
        return "time left not known yet" if share <= 0.02 else f"about {self.elapsed() * (1 / share - 1):.0f} s left"


def _figure(name: str, value: float) -> str:
    return f"{value:,.2f}" if name == "usd" else f"{value:,.0f}"


def _trial_line(event: Event) -> str:
    from optimizer.evaluate.statistics import mean

    score = f"{mean(event.scores):.3f} on {len(event.scores):3}" if event.scores else "no score"
    return f"trial {event.number:3}  {score}  {event.state:9}  {_dimensions(event)}"


def _dimensions(event: Event) -> str:
    told: list[Any] = []
    for prompt in event.candidate.prompts.values():
        demos = f"{prompt.policy} {prompt.count}" if prompt.count else "no demos"
        told.append(f"{prompt.format}, {demos}")
    return f"{event.candidate.origin}: {'; '.join(told)}"
