"""The report of a run of 2,000 trials: small, whole, and readable."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.browser import needed, visit
from support.many import make_many

from optimizer.report.files import make_reports

from .pages import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TRIALS = 2000


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_reports(make_many(tmp_path_factory.mktemp("many") / "run", TRIALS))


def test_the_page_stays_small_and_holds_every_trial_once(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    assert len(html) < 700_000
    rows = [e for e in Page.of(html).all("th") if e.attributes.get("scope") == "row" and "svg" not in e.within]
    folded = [e.text for e in rows if "details" in e.within]
    assert len(folded) == TRIALS - 40
    assert len(set(folded)) == len(folded)
    assert len(page.with_suffix(".md").read_text(encoding="utf-8")) < 40_000


@needed
def test_the_page_can_be_read_on_a_phone(page: Path) -> None:
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    tall = "document.documentElement.scrollHeight"
    points = "document.querySelectorAll('svg use').length"
    found = visit(page, [wide, tall, points], width=390)
    assert found.answers[0] <= 0
    assert found.answers[1] < 30_000, "more than thirty screens"
    assert found.answers[2] < 1_500
