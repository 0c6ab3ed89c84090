"""What a person sees while a run works: a live view on a terminal, plain lines on a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from optimizer.cli.panel import bar, sparkline
from optimizer.job.watcher import Watcher
from optimizer.report.clean import visible

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from optimizer.config.schema import RunConfig
    from optimizer.door.budget import Budget
    from optimizer.door.door import Door
    from optimizer.ledger.ledger import Ledger
    from optimizer.search.trials import Event
    from optimizer.task.task import Task

# Of the panel: its first column, however long the other one is, and the lines and spaces around both.
NAME_WIDTH, FRAME, WIDEST = len("trials"), 7, 120
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
    """A panel that is redrawn in place, at most 22 lines of 80 columns: more would scroll, and flicker."""

    SHOWN, RACING, FAILURES = 4, 5, 2

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console()
        self.live: Live | None = None
        self.lines: list[str] = []
        self.failures: list[tuple[str, str]] = []
        self.limits: Callable[[], str] = str

    def say(self, text: str) -> None:
        """Print one line above the panel."""
        self.console.print(text, markup=False, highlight=False)

    def begin(self, config: RunConfig, task: Task, budget: Budget, ledger: Ledger) -> None:
        """Start the panel."""
        from rich.live import Live

        self.state, self.title, self._ledger = State(config, budget, ledger), task.name, ledger
        for note in task.notes:
            self.say(f"note: {note}")
        self.live = Live(console=self.console, get_renderable=self._table, refresh_per_second=2)
        self.live.start()

    def connected(self, door: Door) -> None:
        """Take note of who knows the provider's limits."""
        self.limits = door.limits

    def event(self, event: Event) -> None:
        """Take note of a trial that moved on."""
        from optimizer.ledger.records import last_failures

        self.state.take(event)
        if event.kind != "started":
            self.failures = last_failures(self._ledger, self.FAILURES)
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

        # As wide all the time: a panel that changes its width flickers.
        width = min(self.console.width, WIDEST)
        table = Table(title=self.title, show_header=False, width=width, title_justify="left")
        table.add_column(no_wrap=True, min_width=NAME_WIDTH)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=width - NAME_WIDTH - FRAME)
        for name, text in self._rows():
            table.add_row(name, Text(visible(text, 200), overflow="ellipsis", no_wrap=True))
        return table

    def _rows(self) -> Iterator[tuple[str, str]]:
        """Yield each line of the panel with its name."""
        from optimizer.report.words import at_most

        state = self.state
        yield "best", state.best_text()
        if state.curve:
            yield "", f"{sparkline(state.curve)}  over {state.ended} trials"
        yield "trials", f"{state.ended}{at_most(state.trials)}, {len(state.racing)} racing"
        used = state.used()
        if not used:
            yield "budget", state.spent_text()
        for place, (name, (spent, limit)) in enumerate(used.items()):
            told = f"{_figure(name, spent)} of {_figure(name, limit)} {UNITS[name]}"
            yield "" if place else "budget", f"{bar(spent / limit)}  {told}"
        yield "limits", self.limits() or "none met"
        yield "time", f"{state.elapsed():.0f} s, {state.left_text()}"
        for place, (number, score, seen) in enumerate(state.leaders(self.RACING)):
            yield "" if place else "racing", f"{bar(score)}  #{number} {score:.3f} on {seen}"
        for place, (kind, message) in enumerate(self.failures):
            yield "" if place else "failed", f"{kind}: {message}"
        for place, line in enumerate(self.lines):
            yield "" if place else "ended", line


class State:
    """What both views show, gathered from the events and the budget."""

    def __init__(self, config: RunConfig, budget: Budget, ledger: Ledger) -> None:
        self.trials, self._budget, self._ledger = config.planned, budget, ledger
        self._start = time.monotonic()
        self.ended = 0
        self.racing: set[int] = set()
        self._scores: dict[int, list[float]] = {}
        self.curve: list[float] = []

    def take(self, event: Event) -> None:
        """Take note of an event."""
        from optimizer.evaluate.statistics import mean

        self._scores[event.number] = event.scores
        if event.kind == "ended":
            self.ended += 1
            self.racing.discard(event.number)
            best = self._best()
            self.curve += [] if best is None else [mean(best)]
        else:
            self.racing.add(event.number)

    def best_text(self) -> str:
        """Return the best score among the trials that saw most, with its interval."""
        from optimizer.evaluate.statistics import interval, mean

        best = self._best()
        if best is None:
            return "none yet"
        low, high = interval(best)
        return f"{mean(best):.3f} [{low:.2f}, {high:.2f}] on {len(best)} validation examples"

    def _best(self) -> list[float] | None:
        """Return the scores of the best trial among those that saw at least half of what the longest saw."""
        from optimizer.evaluate.statistics import mean

        longest = max(map(len, self._scores.values()), default=0)
        return max((s for s in self._scores.values() if s and 2 * len(s) >= longest), key=mean, default=None)

    def leaders(self, most: int) -> list[tuple[int, float, int]]:
        """Return (trial, score, examples seen) of the trials that race, the best first, at most `most`."""
        from optimizer.evaluate.statistics import mean

        racing = [(number, self._scores.get(number, [])) for number in self.racing]
        found = [(number, mean(scores), len(scores)) for number, scores in racing if scores]
        return sorted(found, key=lambda one: (-one[1], one[0]))[:most]

    def used(self) -> dict[str, tuple[float, float]]:
        """Return (spent, limit) for each limit that is set."""
        return self._budget.used()

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
        shares += [self.ended / self.trials] if self.trials else []
        share = max(shares, default=0.0)
        return "time left not known yet" if share <= 0.02 else f"about {self.elapsed() * (1 / share - 1):.0f} s left"


def _figure(name: str, value: float) -> str:
    return f"{value:,.2f}" if name == "usd" else f"{value:,.0f}"


def _trial_line(event: Event) -> str:
    from optimizer.evaluate.statistics import mean

    score = f"{mean(event.scores):.3f} on {len(event.scores):3}" if event.scores else "no score"
    why = f"{event.reason}; " if event.state != "complete" and event.reason else ""
    return f"trial {event.number:3}  {score}  {event.state:9}  {why}{_dimensions(event)}"


def _dimensions(event: Event) -> str:
    told: list[Any] = []
    for prompt in event.candidate.prompts.values():
        demos = f"{prompt.policy} {prompt.count}" if prompt.count else "no demos"
        told.append(f"{prompt.format}, {demos}")
    return f"{event.candidate.origin}: {'; '.join(told)}"
