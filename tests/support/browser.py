"""Debian's Chromium, driven by Playwright: opens pages and says what they did."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Page, ViewportSize

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needed = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt install chromium")


@dataclass
class Visit:
    """What a page did: the addresses it asked for, what its policy or console complained of, its dialogs."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    dialogs: int = 0
    answers: list[Any] = field(default_factory=list)


@contextmanager
def browser(width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[Page]:
    """Yield an empty page of a size, in a browser of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        scheme: Literal["dark", "light"] = "dark" if dark else "light"
        size: ViewportSize = {"width": width, "height": height}
        yield chromium.new_page(viewport=size, color_scheme=scheme, is_mobile=width < 500)
        chromium.close()


def visit(file: Path, questions: list[str], width: int = 1280, dark: bool = False) -> Visit:
    """Open a file at a width and answer JavaScript `questions` about it, asked from outside the page's policy."""
    found = Visit()

    def dismiss(dialog: Dialog) -> None:
        found.dialogs += 1
        dialog.dismiss()

    with browser(width, dark=dark) as page:
        page.on("request", lambda request: found.requests.append(request.url))
        page.on("console", lambda message: found.complaints.append(message.text))
        page.on("dialog", dismiss)
        page.goto(file.resolve().as_uri())
        found.answers = [page.evaluate(question) for question in questions]
    return found
