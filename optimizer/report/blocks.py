"""What a report is made of, whatever it is written as: sections of text, tables, figures, code, differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Sign = Literal[" ", "-", "+"]


@dataclass(frozen=True)
class Text:
    """A paragraph; a `warning` stands out."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class KeyFigures:
    """The few figures that matter most, each as (name, value, what else is known of it)."""

    caption: str
    figures: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Table:
    """Rows of cells under a head; the first cell names its row. Empty tables say `empty`.

    `links` holds the anchor that each row's first cell leads to. Of a `shaded` table, a confusion matrix, each cell
    is as dark as its share of its row is large.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    empty: str = "None."
    links: Sequence[str] = ()
    shaded: bool = False


@dataclass(frozen=True)
class Figure:
    """A drawing: `svg` is markup of our own making; `table` holds the same figures for who cannot see it."""

    title: str
    description: str
    svg: str
    table: Table


@dataclass(frozen=True)
class Code:
    """Text as it stands."""

    caption: str
    text: str
    language: str = "text"


@dataclass(frozen=True)
class Difference:
    """Lines before and after, each with its sign."""

    caption: str
    lines: Sequence[tuple[Sign, str]]


Block = Text | Bullets | KeyFigures | Table | Figure | Code | Difference


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; sections may hold sections.

    On the page a `folded` section is opened by its reader, and the parts of one in `columns` stand side by side
    where there is room. Markdown cannot fold: it names a section that is for the `page_only`, and shows the others.
    """

    title: str
    blocks: Sequence[Block | Section]
    folded: bool = False
    columns: bool = False
    page_only: bool = False

    @property
    def anchor(self) -> str:
        """The section's name in links."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())


@dataclass(frozen=True)
class Document:
    """A report: its title, the verdict in a sentence, what to do, the reasons and the cost, and the sections."""

    title: str
    lead: str
    advice: str
    sections: Sequence[Section]
    summary: Sequence[Block] = ()
