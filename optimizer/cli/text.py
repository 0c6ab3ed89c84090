"""How commands print: lines that are wrapped at words on a terminal, and durations."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

import click

from optimizer.errors import spelled_out


def echo(text: str, err: bool = False, whole: bool = False) -> None:
    """Print text of which nothing acts on a terminal; there its long lines are wrapped, unless they stay `whole`."""
    text = spelled_out(text)
    if not whole and (sys.stderr if err else sys.stdout).isatty():
        text = wrapped(text, shutil.get_terminal_size().columns)
    click.echo(text, err=err)


def wrapped(text: str, width: int) -> str:
    """Return text with its lines wrapped at words; what follows of a line is indented by two more. No word is cut."""
    return "\n".join(
        textwrap.fill(
            line,
            width,
            subsequent_indent=" " * (len(line) - len(line.lstrip()) + 2),
            expand_tabs=False,
            replace_whitespace=False,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.split("\n")
    )


def duration(seconds: float) -> str:
    """Return a duration as `2 h 5 min`, `3 min 20 s` or `7 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def figure(name: str, value: float) -> str:
    """Return an amount of calls, tokens, dollars (`usd`) or seconds."""
    return f"{value:,.2f}" if name == "usd" else f"{value:,.0f}"


def spent_of(name: str, spent: float, limit: float | None) -> str:
    """Return what was spent of a limit, if there is one, in calls, tokens, dollars (`usd`) or seconds."""
    if name == "seconds":
        return duration(spent) + ("" if limit is None else f" of {duration(limit)}")
    bound = "" if limit is None else f" of {figure(name, limit)}"
    return f"{figure(name, spent)}{bound} {'dollars' if name == 'usd' else name}"


def best_text(best: Mapping[str, Any] | None) -> str:
    """Return the best trial so far, as `report.status` tells it, with its 95 % interval."""
    if best is None:
        return "none yet"
    from optimizer.report.words import interval

    score = f"{best['score']:.3f} {interval(best['low'], best['high'], form='.2f')}"
    return f"{score} on {best['examples']} validation examples (trial {best['trial']})"
