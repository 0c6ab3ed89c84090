"""The site in Chromium, on a desk and on a telephone: readable, searchable, without a serious fault of access."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.browser import browser, needed

pytestmark = [needed, pytest.mark.slow, pytest.mark.filterwarnings("default")]
MAIN = ["", "tutorials/your-csv/", "how-to/budget/", "reference/config/", "reference/commands/", "reference/python/"]
MAIN += ["explanation/verdict/", "decisions/", "notebooks/first_run/"]


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *told: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_have_no_serious_fault(address: str, width: int, dark: bool) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with browser(width, dark=dark) as page:
        asked: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        for name in MAIN:
            page.goto(f"{address}{name}", wait_until="networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            found = Axe().run(page).response["violations"]
            serious = [one for one in found if one["impact"] in {"serious", "critical"}]
            told = [(one["id"], [node["html"][:120] for node in one["nodes"]][:3]) for one in serious]
            assert told == [], name
        assert [url for url in asked if not url.startswith(("data:", address))] == []
        assert complaints == []


def test_the_search_finds(address: str) -> None:
    with browser(1280) as page:
        page.goto(address, wait_until="networkidle")
        page.keyboard.press("/")
        page.keyboard.type("give_up_after", delay=20)
        page.locator(".md-search-result__item").first.wait_for(timeout=20_000)
        assert (
            "budget" in page.locator(".md-search-result__list").inner_text().lower()
            or page.locator(".md-search-result__item").count()
        )
