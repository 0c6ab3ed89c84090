"""What a person sees while a run works: a live view on a terminal, plain lines on a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from optimizer.cli.panel import bar, sparkline
from optimizer.cli.text import best_text, duration, echo, figure, wrapped
from optimizer.errors import spelled_out
from optimizer.job.watcher import Watcher
from optimizer.report.clean import visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from optimizer.config.schema import RunConfig
    from optimizer.door.budget import Budget
    from optimizer.door.door import Door
    from optimizer.ledger.ledger import Ledger
    from optimizer.search.trials import Event
    from optimizer.task.task import Task

# Of the panel: its first column, however long the other one is, and the lines and spaces around both.
NAME_WIDTH, FRAME, WIDEST = len("cut off"), 7, 120
# Seconds without a line after which a pipe is told how the race stands: the trials of a round may all end at its end.
SILENCE = 60.0


def make_watcher(quiet: bool) -> Watcher:
    """Return the view that fits: of troubles only, a live one on a terminal, or lines on a pipe."""
    if quiet:
        return Troubles()
    return LiveView() if sys.stdout.isatty() else Lines()


class Troubles(Watcher):
    """Tells on standard error what a run has to do without, and nothing else."""

    def warn(self, text: str) -> None:
        """Print a trouble."""
        echo(text, err=True)


class Lines(Watcher):
    """A plain line for each trial that ends, one for the race after a silence, and one for each quarter of the test."""

    _told: tuple[str, int] = ("", 0)
    _heard = 0.0  # when the last line was printed

    def say(self, text: str) -> None:
        """Print a message."""
        self._heard = time.monotonic()
        echo(text, whole=True)

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
            self.say(f"{_trial_line(event)}; best {best_text(self.state.best)}; {self.state.spent_text()}")
        elif time.monotonic() - self._heard >= SILENCE and (ahead := self.state.leaders(1)):
            ((number, score, seen),) = ahead
            racing = f"{len(self.state.racing)} racing, ahead trial {number} with {score:.3f} on {seen}"
            self.say(f"{racing}; {self.state.spent_text()}; {self.state.left_text()}")

    def testing(self, answered: int, planned: int, what: str) -> None:
        """Print a line where another quarter of the test's answers is there."""
        quarter = (what, 4 * answered // max(1, planned))
        if quarter[1] and quarter != self._told:
            self.say(f"test: {answered} of {planned} answers ({what})")
        self._told = quarter


class LiveView(Watcher):
    """A panel that is redrawn in place, at most 22 lines of 80 columns: more would scroll, and flicker.

    During the test it is one line.
    """

    SHOWN, RACING, FAILURES = 4, 5, 2

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console()
        self.live: Live | None = None
        self.trial_lines: list[str] = []
        self.failures: list[tuple[str, str]] = []
        self.limits: Callable[[], str] = str
        self.batches: Callable[[], str] = str
        self.test = Test("", 0)

    def say(self, text: str) -> None:
        """Print a message above what is drawn; no word is broken at the end of a line."""
        shown = wrapped(spelled_out(text), self.console.width)
        self.console.print(shown, markup=False, highlight=False, soft_wrap=True)

    def begin(self, config: RunConfig, task: Task, budget: Budget, ledger: Ledger) -> None:
        """Start the panel; with folds one search follows the other."""
        self.trial_lines, self.failures, self.test = [], [], Test("", 0)
        self.state, self.title, self._ledger = State(config, budget, ledger), task.name, ledger
        for note in task.notes:
            self.say(f"note: {note}")
        self._draw(self._table)

    def connected(self, door: Door) -> None:
        """Take note of who knows the provider's limits, and what is out."""
        self.limits, self.batches = door.connections.limits, door.connections.batches

    def event(self, event: Event) -> None:
        """Take note of a trial that moved on."""
        from optimizer.ledger.calls import last_failures

        self.state.take(event)
        if event.kind != "started":
            self.failures = last_failures(self._ledger, self.FAILURES)
        if event.kind == "ended":
            self.trial_lines = [*self.trial_lines, _trial_line(event)][-self.SHOWN :]

    def testing(self, answered: int, planned: int, what: str) -> None:
        """Draw a bar with the share of the test's answers, and the time left."""
        if (what, planned) != (self.test.what, self.test.planned):
            self.test = Test(what, planned)
            self._draw(self._test_line)
        self.test.answered = answered
        if answered >= planned:
            self.end()

    def end(self) -> None:
        """Leave what is drawn as it is."""
        if self.live is not None:
            self.live.stop()
            self.live = None

    def _draw(self, renderable: Callable[[], RenderableType]) -> None:
        from rich.live import Live

        self.end()
        self.live = Live(console=self.console, get_renderable=renderable, refresh_per_second=2)
        self.live.start()

    def _table(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        # As wide all the time: a panel that changes its width flickers.
        width = min(self.console.width, WIDEST)
        table = Table(title=self.title, show_header=False, width=width, title_justify="left")
        table.add_column(no_wrap=True, width=NAME_WIDTH)
        table.add_column(no_wrap=True, overflow="ellipsis", width=width - NAME_WIDTH - FRAME)
        for name, text in self._rows():
            table.add_row(name, Text(visible(text, 200), overflow="ellipsis", no_wrap=True))
        return table

    def _test_line(self) -> RenderableType:
        from rich.text import Text

        return Text(visible(self.test.text(), 200), overflow="ellipsis", no_wrap=True)

    def _rows(self) -> Iterator[tuple[str, str]]:
        """Yield each line of the panel with its name."""
        from optimizer.report.words import at_most

        state = self.state
        yield "best", best_text(state.best)
        if state.curve:
            yield "", f"{sparkline(state.curve)}  over {state.ended} trials"
        yield "trials", f"{state.ended}{at_most(state.trials)}, {len(state.racing)} racing"
        used = state.used()
        if not used:
            yield "budget", state.spent_text()
        bars = [f"{bar(spent / limit)}  {_of(name, spent, limit)}" for name, (spent, limit) in used.items()]
        yield from _named("budget", bars)
        out = self.batches()  # what waits for a batch meets no limit, and the panel has no room for both
        yield ("batch", out) if out else ("limits", self.limits() or "none met")
        yield "time", f"{duration(state.elapsed())}, {state.left_text()}"
        leaders = state.leaders(self.RACING)
        yield from _named(
            "racing", [f"{bar(score)}  #{number} {score:.3f} on {seen}" for number, score, seen in leaders]
        )
        if cut := state.cut_text():
            yield "cut off", cut
        yield from _named("failed", [f"{kind}: {message}" for kind, message in self.failures])
        yield from _named("ended", self.trial_lines)


def _named(name: str, texts: list[str]) -> Iterator[tuple[str, str]]:
    """Yield texts as lines of the panel; the first one bears the name."""
    for index, text in enumerate(texts):
        yield "" if index else name, text


class Test:
    """How far a test is: so many answers of those that are planned."""

    def __init__(self, what: str, planned: int) -> None:
        self.what, self.planned, self.answered = what, planned, 0
        self._start = time.monotonic()

    def text(self) -> str:
        """Return a bar, the answers, the time left (at the end: the time it took), and what is tested."""
        share, elapsed = self.answered / max(1, self.planned), time.monotonic() - self._start
        timing = ", time left not known yet"
        if self.answered:
            timing = f", about {duration(elapsed * (1 / share - 1))} left" if share < 1 else f" in {duration(elapsed)}"
        return f"test {bar(share)}  {self.answered} of {self.planned} answers{timing}: {self.what}"


class State:
    """What both views show, from the events, the ledger and the budget."""

    def __init__(self, config: RunConfig, budget: Budget, ledger: Ledger) -> None:
        self.trials, self._budget, self._ledger = config.planned, budget, ledger
        self._start = time.monotonic()
        self.ended = 0
        self.best: Mapping[str, Any] | None = None
        self.racing: dict[int, list[float]] = {}
        self.curve: list[float] = []

    def take(self, event: Event) -> None:
        """Take note of an event."""
        if event.kind != "ended":
            self.racing[event.number] = event.scores
            return
        from optimizer.ledger.trials import trial_figures
        from optimizer.report.status import best_figures

        self.ended += 1
        self.racing.pop(event.number, None)
        self.best = best_figures(trial_figures(self._ledger))
        self.curve += [] if self.best is None else [self.best["score"]]

    def leaders(self, most: int) -> list[tuple[int, float, int]]:
        """Return (trial, score, examples seen) of the trials that race, the best first, at most `most`."""
        from optimizer.evaluate.statistics import mean

        scored = [(number, mean(scores), len(scores)) for number, scores in self.racing.items() if scores]
        return sorted(scored, key=lambda row: (-row[1], row[0]))[:most]

    def used(self) -> dict[str, tuple[float, float]]:
        """Return (spent, limit) for each limit that is set."""
        return self._budget.used()

    def spent_text(self) -> str:
        """Return what was spent, against each limit that is set."""
        used = self._budget.used()
        if not used:
            from optimizer.ledger.spend import usage_in

            total = usage_in(self._ledger, "search")
            return f"{total.calls:,} calls, {total.tokens:,} tokens, no limit"
        return ", ".join(_of(name, *pair) for name, pair in used.items())

    def cut_text(self) -> str:
        """Return how many answers ended at their limit of tokens, "" for none."""
        from optimizer.ledger.answers import cut_answers

        cut, answers = cut_answers(self._ledger)
        return f"{cut:,} of {answers:,} answers at their limit of tokens" if cut else ""

    def elapsed(self) -> float:
        """Return the seconds since the search began."""
        return time.monotonic() - self._start

    def left_text(self) -> str:
        """Return a forecast of the time left: by the fastest-spent limit, or the trials."""
        shares = [spent / limit for spent, limit in self._budget.used().values()]
        shares += [self.ended / self.trials] if self.trials else []
        share = max(shares, default=0.0)
        left = self.elapsed() * (1 / share - 1) if share > 0.02 else None
        return "time left not known yet" if left is None else f"about {duration(left)} left"


def _of(name: str, spent: float, limit: float) -> str:
    return f"{figure(name, spent)} of {figure(name, limit)} {'dollars' if name == 'usd' else name}"


def _trial_line(event: Event) -> str:
    from optimizer.evaluate.statistics import mean
    from optimizer.report.words import dimensions_of

    score = f"{mean(event.scores):.3f} on {len(event.scores):3}" if event.scores else "no score"
    why = f"{event.reason}; " if event.state != "complete" and event.reason else ""
    prompt = f"{event.candidate.origin}: {dimensions_of(event.candidate)}"
    return f"trial {event.number:3}  {score}  {event.state:9}  {why}{prompt}"
