"""Reads a page as a browser's parser would, for tests: its elements, and the text that stands in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "path", "use", "rect"}


@dataclass
class Element:
    """One element with its attributes, its ancestors' names and the text directly or below it."""

    name: str
    attributes: dict[str, str | None]
    within: tuple[str, ...]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """All elements of a page in order; raises AssertionError where tags do not match."""

    elements: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs), tuple(one.name for one in self._open))
        assert len(element.attributes) == len(attrs)
        self.elements.append(element)
        if tag not in VOID or (self.get_starttag_text().endswith("/>") is False and "svg" in element.within):
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs), tuple(one.name for one in self._open)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().name == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, *names: str) -> list[Element]:
        """Return the elements of these names."""
        return [element for element in self.elements if element.name in names]

    @classmethod
    def of(cls, html: str) -> Page:
        """Return a page that was read to its end."""
        page = cls()
        page.feed(html)
        page.close()
        assert not page._open
        return page
