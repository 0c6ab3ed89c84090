"""The report of a run of 2,000 trials: small, whole, and readable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.browser import needed, visit
from support.many import make_many

from optimizer.report.files import make_reports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TRIALS = 2000


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_reports(make_many(tmp_path_factory.mktemp("many") / "run", TRIALS))


def test_the_page_stays_small_and_holds_every_trial_once(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    assert len(html) < 700_000
    tables = [table.split("</table>")[0] for table in html.split("<table")]
    shown = next(table for table in tables if "The seed and the best 39 of 2,000 trials" in table)
    folded = next(table for table in tables if f"The other {TRIALS - 40:,} trials" in table)
    numbers = [re.findall(r'<th scope="row"[^>]*>(?:<a [^>]*>)?(\d+)', table) for table in (shown, folded)]
    assert [len(found) for found in numbers] == [40, TRIALS - 40]
    assert len({*numbers[0], *numbers[1]}) == TRIALS
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
