"""The page in a real browser: what it draws, how wide it is, and that nothing in it runs or is fetched."""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.browser import browser, needed, visit

from optimizer.report.files import make_reports

from .made import make_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    needed,
]
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
FLAT = "[...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().height < 50).length"
FIGURES = "document.querySelectorAll('svg').length"
INK = "getComputedStyle(document.querySelector('svg text')).fill"
STYLED = "getComputedStyle(document.querySelector('.lead')).fontWeight"
HIT = "typeof window.hit"
SMALL = """Math.min(...[...document.querySelectorAll('svg text')].map(t => {
    const scale = t.ownerSVGElement.getBoundingClientRect().width / t.ownerSVGElement.viewBox.baseVal.width;
    return parseFloat(getComputedStyle(t).fontSize) * scale; }))"""
# Every element that holds text, against the colour behind it: WCAG 2's contrast of the worst pair.
CONTRAST = """(() => {
    const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
    const lum = c => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const parts = e => { const c = getComputedStyle(e).backgroundColor;  // color(srgb …): parts of one
        return c.startsWith('color(') ? parse(c).map((v, i) => i < 3 ? 255 * v : v) : parse(c); };
    const behind = e => { for (; e; e = e.parentElement) {
        const c = parts(e);
        if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
    let worst = 21;
    for (const e of document.body.querySelectorAll(':not(title):not(desc)')) {
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
        const style = getComputedStyle(e), ink = parse(e.ownerSVGElement ? style.fill : style.color);
        const [a, b] = [lum(ink), lum(behind(e))].sort((x, y) => y - x);
        worst = Math.min(worst, (a + 0.05) / (b + 0.05));
    }
    return worst; })()"""
# Deque's accessibility rules; what it calls minor or moderate is advice.
AXE = """axe.run(document, {resultTypes: ['violations']}).then(found => found.violations
    .filter(v => ['serious', 'critical'].includes(v.impact)).map(v => v.id + ': ' + v.nodes[0].html))"""
PIECES = (
    "<script>window.hit=1</script>",
    "<img src=http://evil.test/x onerror=window.hit=1>",
    "<svg onload=window.hit=1>",
    "</style><style>@import 'http://evil.test/c'</style>",
    "</title></pre><iframe srcdoc='<script>parent.hit=1</script>'>",
    "javascript:window.hit=1",
    "{{ 7*7 }}{% for x in range(9) %}",
    "\x1b[31m\x07",
    "\u202eabc\u2066",
    "'\"`--></script>",
    "<a href='javascript:window.hit=1' autofocus onfocus=window.hit=1>x</a>",
    "<meta http-equiv=refresh content='0;url=http://evil.test/'>",
    "<math><mtext></math><style>*{background:url(http://evil.test/b)}</style>",
    "x" * 2_000,
    "&lt;script&gt;&#60;script&#62;",
)


def axe_core() -> str:
    """Return the script, which a Python package carries."""
    package = find_spec("axe_playwright_python")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).with_name("axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_is_drawn_and_can_be_read(real_run: Path, width: int, dark: bool) -> None:
    page = real_run / "report.html"
    found = visit(page, [WIDE, FIGURES, FLAT, SMALL, CONTRAST, INK, STYLED, f"{axe_core()}; 0", AXE], width, dark)
    wide, figures, flat, small, contrast, ink, styled, _, violations = found.answers
    assert violations == []
    assert wide <= 0
    assert (figures, flat) == (4, 0)
    assert small >= 9
    assert contrast >= 4.5
    assert ink == ("rgb(230, 237, 243)" if dark else "rgb(27, 31, 36)")
    assert styled == "600", "the style sheet's hash is not that of the policy"
    assert found.requests == [page.resolve().as_uri()]
    assert (found.complaints, found.dialogs) == ([], 0)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_trials_score_and_reason_are_seen_and_its_number_opens_its_prompt(real_run: Path, width: int) -> None:
    with browser(width) as page:
        page.goto((real_run / "report.html").resolve().as_uri())
        head = page.locator("th", has_text="why it ended").first.bounding_box()
        assert head is not None
        assert head["x"] + head["width"] <= width
        prompt = page.locator("#prompt-of-trial-1")
        assert not prompt.is_visible()
        page.locator("a[href='#prompt-of-trial-1']").click()
        assert prompt.is_visible()


def test_nothing_is_folded_away_in_print(real_run: Path) -> None:
    with browser() as page:
        page.goto((real_run / "report.html").resolve().as_uri())
        cost = page.locator("table", has_text="What it cost, by role")
        assert not cost.is_visible()
        page.emulate_media(media="print")
        assert cost.is_visible()


def test_two_hundred_hostile_strings_run_nothing_and_fetch_nothing(tmp_path: Path) -> None:
    mixed = [" ".join(pair) for pair in itertools.product(PIECES, PIECES)][:200]
    assert len(mixed) == 200
    for half, finished in ((0, True), (100, False)):
        words = "\n".join(mixed[half : half + 100])
        folder = make_run(tmp_path / str(half), words=words, task=words, finished=finished)
        found = visit(make_reports(folder), [HIT, WIDE, "location.href"])
        assert found.answers[0] == "undefined"
        assert found.answers[1] <= 0
        assert found.answers[2].startswith("file:")
        assert len(found.requests) == 1, found.requests
        assert (found.complaints, found.dialogs) == ([], 0)
