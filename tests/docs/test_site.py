"""The built site: whole, without dead links, and without anything that is fetched from elsewhere."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs.blocks import ROOT, pages
from optimizer.config.schema import RunConfig

LINKS = {"a": "href", "img": "src", "link": "href", "script": "src"}


class Page(HTMLParser):
    """What a page links to, what it loads, and where it can be linked to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors |= {str(found[name]) for name in ("id", "name") if found.get(name)}
        target = found.get(LINKS.get(tag, ""))
        if target:
            (self.links if tag == "a" else self.loads).append(target)


@pytest.fixture(scope="session")
def read(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in site.rglob("*.html") if file.name != "404.html"}


def test_every_page_is_there(site: Path) -> None:
    sources = ROOT / "docs" / "pages"
    for page in sources.rglob("*.md"):
        name = page.relative_to(sources).with_suffix("")
        folder = name.parent if name.name == "index" else name
        assert (site / folder / "index.html").exists(), name
    for notebook in (ROOT / "docs" / "notebooks").glob("*.ipynb"):
        assert (site / "notebooks" / notebook.stem / "index.html").exists()


def test_no_link_is_dead(site: Path, read: dict[Path, Page]) -> None:
    dead = []
    for file, page in read.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("//"):
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                dead.append(f"{file.relative_to(site)} → {link}")
            elif parts.fragment and target in read and unquote(parts.fragment) not in read[target].anchors:
                dead.append(f"{file.relative_to(site)} → {link} (no such place in it)")
    assert dead == []


def test_nothing_is_loaded_from_elsewhere(site: Path, read: dict[Path, Page]) -> None:
    assert [load for page in read.values() for load in page.loads if urlsplit(load).netloc] == []
    styles = [file.read_text(encoding="utf-8") for file in site.rglob("*.css")]
    assert [url for text in styles for url in re.findall(r"url\(['\"]?(https?:[^)]*)", text)] == []


def test_the_search_knows_every_page(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {"how-to/budget/", "reference/config/", "notebooks/first_run/"} <= found


def test_the_reference_has_every_key_and_command(site: Path) -> None:
    keys = (site / "reference" / "config" / "index.html").read_text(encoding="utf-8")
    for name in RunConfig.model_fields:
        assert f"<code>{name}</code>" in keys
    from optimizer.cli.main import cli

    commands = (site / "reference" / "commands" / "index.html").read_text(encoding="utf-8")
    for name in cli.commands:
        assert f"metier {name}" in commands


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_in_the_sources_lead_to_files(page: Path) -> None:
    """GitHub shows the sources: their links lead to files there, too, or to what the build makes."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        parts = urlsplit(link)
        made = parts.path.startswith(("../notebooks/", "../assets/"))
        if parts.scheme or not parts.path or made:
            continue
        assert (page.parent / parts.path).exists(), f"{page.name}: {link}"
