from __future__ import annotations

import base64
import hashlib
import itertools
import re
from contextlib import closing
from pathlib import Path

import pytest

from optimizer.ledger.reader import Reader
from optimizer.report.blocks import Code, Document, Section, Table, Text
from optimizer.report.document import document_of
from optimizer.report.gather import Facts, gather
from optimizer.report.html import report_html

from .made import make_run
from .pages import Page

CSS = (Path(__file__).parents[2] / "optimizer" / "report" / "report.css").read_text()
HOSTILE = (
    "<script>window.hit=1</script><img src=http://evil.test/x onerror=window.hit=1>{{ 7*7 }}{% raw %}"
    "</pre></style></title><svg onload=window.hit=1><a href=javascript:window.hit=1>\x1b[31m\u202e'\"--></script>"
)


@pytest.fixture
def page(facts: Facts) -> Page:
    return Page.of(report_html(document_of(facts)))


def test_the_page_allows_its_own_style_and_nothing_else(facts: Facts) -> None:
    html = report_html(document_of(facts))
    style = html.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(m for m in Page.of(html).all("meta") if m.attributes.get("http-equiv") == "Content-Security-Policy")
    assert policy.attributes["content"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert html.index("Content-Security-Policy") < html.index("<style>")
    assert "url(" not in style
    assert "@import" not in style


def test_nothing_runs_and_nothing_is_fetched(page: Page) -> None:
    assert not page.all("script", "img", "iframe", "object", "embed", "link", "form", "base", "foreignobject")
    for element in page.elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on")
            assert name not in {"style", "src", "srcset", "action", "formaction", "ping"}
            if name.endswith("href"):
                assert str(value).startswith("#")


def test_headings_are_in_order_and_links_lead_somewhere(page: Page) -> None:
    levels = [int(one.name[1]) for one in page.elements if re.fullmatch("h[1-6]", one.name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [one.attributes["id"] for one in page.elements if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    assert {str(one.attributes["href"])[1:] for one in page.all("a")} <= set(ids)
    labelled = [one.attributes["aria-labelledby"] for one in page.elements if "aria-labelledby" in one.attributes]
    assert set(labelled) <= set(ids)


def test_landmarks_and_table_heads_are_there(page: Page) -> None:
    assert [len(page.all(name)) for name in ("header", "nav", "main", "footer", "h1")] == [1] * 5
    assert page.all("html")[0].attributes["lang"] == "en"
    for head in page.all("th"):
        assert head.attributes["scope"] == ("col" if "thead" in head.within else "row")
        assert head.text.strip()
    assert len(page.all("caption")) == len(page.all("table")) > 10
    regions = [one.attributes["aria-label"] for one in page.elements if one.attributes.get("role") == "region"]
    assert len(regions) == len(set(regions)), "a screen reader's list of regions must tell them apart"
    for one in page.elements:
        if one.attributes.get("role") == "region":
            assert one.attributes["tabindex"] == "0", "what scrolls must be reachable by keyboard"
    assert len(page.all("svg")) == 3


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2 for #rgb or #rrggbb."""
    digits = colour.removeprefix("#")
    parts = [digits[n : n + 2] for n in (0, 2, 4)] if len(digits) == 6 else [2 * digit for digit in digits]
    channels = [int(part, 16) / 255 for part in parts]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_read_in_light_dark_and_print() -> None:
    sets = [dict(re.findall(r"--(\w+):(#[0-9a-f]+)", rule)) for rule in re.findall(r":root\{([^}]*)\}", CSS)]
    assert len(sets) == 3
    for colours in sets:
        for ink in ("ink", "soft", "link"):
            assert contrast(colours[ink], colours["page"]) >= 4.5
        for ground in ("shade", "added", "removed", "warning"):
            assert contrast(colours["ink"], colours[ground]) >= 4.5
        for mark in ("after", "before", "other"):  # WCAG 1.4.11: what a figure draws
            assert contrast(colours[mark], colours["page"]) >= 3


def test_hostile_text_everywhere_is_shown_and_never_markup(tmp_path: Path) -> None:
    clean = Page.of(html_of(make_run(tmp_path / "clean", words="plain", task="plain")))
    for finished in (True, False):
        page = Page.of(html_of(make_run(tmp_path / str(finished), words=HOSTILE, finished=finished, task=HOSTILE)))
        assert {one.name for one in page.elements} <= {one.name for one in clean.elements}
        assert page.all("h1")[0].text.startswith("<script>window.hit=1</script><img")
        assert not any(one.attributes.get("href", "#")[:1] != "#" for one in page.elements)  # type: ignore[index]
        text = page.all("html")[0].text
        assert "{{ 7*7 }}" in text
        assert "\x1b" not in text
        assert "\u202e" not in text


def html_of(folder: Path) -> str:
    with closing(Reader(folder / "ledger.db")) as ledger:
        return report_html(document_of(gather(ledger)))


@pytest.mark.slow
def test_an_endless_line_does_not_make_an_endless_page(tmp_path: Path) -> None:
    assert len(html_of(make_run(tmp_path / "long", words="x" * 1_000_000, task="long"))) < 1_000_000


def test_code_in_text_and_numbers_in_tables_are_marked() -> None:
    table = Table("t", ("a", "b", "c"), [("x", "-1,200.5", "12 apples from the tree")])
    section = Section("Some: words!", [Text("run `a<b` now"), table, Code("c", "  kept\n spaces")])
    page = Page.of(report_html(Document("d", "lead", "advice", [section])))
    assert page.all("code")[0].text == "a<b"
    assert [one.attributes.get("class") for one in page.all("td")] == ["number", None]
    assert page.all("pre")[0].text == "  kept\n spaces"
    assert page.all("h2")[0].attributes["id"] == "some-words"


def test_what_is_folded_opens_for_a_link_to_it() -> None:
    """A browser opens a closed `details` for what stands in it, not for what stands in its summary."""
    inner = Section("Prompt of trial 7", [Text("within")], folded=True)
    table = Table("Trials", ("trial", "score"), [("7", "0.5")], links=[inner.anchor])
    page = Page.of(report_html(Document("d", "lead", "advice", [Section("Trials", [table, inner])])))
    (link,) = [one for one in page.all("a") if one.text == "7"]
    (target,) = [one for one in page.elements if one.attributes.get("id") == "prompt-of-trial-7"]
    assert link.attributes["href"] == "#prompt-of-trial-7"
    assert target.within[-1] == "details"
    assert "within" in target.text
    assert [one.text for one in page.all("summary")] == ["Prompt of trial 7"]


def test_a_confusion_matrix_is_shaded_by_the_share_of_each_row() -> None:
    rows = [("a", "8", "·", "2"), ("b", "1", "1", "·")]
    table = Table("t", ("expected", "a", "b", "(other)"), rows, shaded=True)
    page = Page.of(report_html(Document("d", "lead", "advice", [Section("s", [table])])))
    shades = [str(one.attributes["class"]).removeprefix("number ") for one in page.all("td")]
    assert shades == ["right shade4", "wrong shade0", "wrong shade1", "wrong shade3", "right shade3", "wrong shade0"]
