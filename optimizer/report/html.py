"""`report.html`: one file that needs nothing else, runs nothing, and reads in light, dark and print."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from optimizer.report.blocks import Block, Document, Section

_HERE = Path(__file__).parent
_NUMBER = re.compile(r"[-+–·]|[-+]?[\d,]+(\.\d+)?|\[[^\]]*\]|\d+ of \d+")


def report_html(document: Document) -> str:
    """Return a report as a page without scripts or remote parts; foreign text cannot become markup.

    Its Content-Security-Policy allows its own style sheet, by hash, and nothing else.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, loader=FileSystemLoader(_HERE), trim_blocks=True, lstrip_blocks=True
    )
    environment.tests["number"] = lambda text: _NUMBER.fullmatch(text) is not None
    environment.filters |= {"kind": _kind, "coded": _coded, "shade": _shade}
    style = (_HERE / "report.css").read_text(encoding="utf-8")
    # Only our own markup passes unescaped: the style sheet, and what figures.py has drawn.
    environment.filters["drawn"] = lambda figure: Markup(figure.svg)  # noqa: S704
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        document=document,
        style=Markup(style),  # noqa: S704
        digest=digest,
    )


def _kind(block: Block | Section) -> str:
    return type(block).__name__.lower()


def _coded(text: str) -> Markup:
    """Return text with what stands between `backticks` as code."""
    pieces = re.split(r"`([^`]+)`", text)
    tag = Markup("<code>{}</code>")
    return Markup("").join(tag.format(piece) if index % 2 else escape(piece) for index, piece in enumerate(pieces))


def _shade(row: Sequence[str], column: int) -> int:
    """Return how dark a cell of a confusion matrix is, from 0 to 5: its share of its row's counts."""
    counts = [int(text) if text.isdecimal() else 0 for text in row[1:]]
    return math.ceil(5 * counts[column - 1] / max(1, sum(counts)))
