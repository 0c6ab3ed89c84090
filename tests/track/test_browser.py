"""A run in MLflow's own pages, in a real browser: what a person finds in the morning."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from support.bench import SEED, Bench
from support.browser import browser, needed
from support.jobs import ROOT, make_task, rule, settings, write_config

from optimizer.testing.fake_server import FakeServer
from optimizer.testing.forks import Forks
from optimizer.track.ui import tracking_uri, trials_address

from .conftest import runs_of
from .test_ui import check_that_it_ends, free_port, served, wait_for_port

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.filterwarnings("default"), needed]
SCREENS = ROOT / "build" / "screens"
PATIENCE = 60_000  # milliseconds; the first page loads the UI's code


@dataclass
class Shown:
    """A finished run, what lies in MLflow of it, and a browser on MLflow's pages."""

    parent: Any
    trials: list[Any]
    outcome: dict[str, Any]
    by_rank: str
    address: str
    page: Page

    @property
    def runs(self) -> str:
        """The place of the experiment's runs."""
        return f"#/experiments/{self.parent.info.experiment_id}/runs"

    def visit(self, place: str) -> Page:
        """Open a place of the UI."""
        self.page.goto("about:blank")  # a new fragment alone would keep what the page before was told
        self.page.goto(f"{self.address}/{place}")
        return self.page

    def keep(self, name: str) -> None:
        """Keep a screenshot as build output."""
        SCREENS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENS / f"{name}.png")

    @property
    def ranked(self) -> list[Any]:
        """The trials that have a rank, the best first."""
        found = [trial for trial in self.trials if "rank" in trial.data.metrics]
        return sorted(found, key=lambda trial: float(trial.data.metrics["rank"]))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Iterator[Shown]:
    folder, port = tmp_path_factory.mktemp("shown"), free_port()
    with FakeServer(rule) as server:
        task, tracking = make_task(folder / "task"), {"mlflow": {}}
        data = settings(task, server.api_base, budget={"calls": 80}, seed=SEED, tracking=tracking)
        bench = Bench(folder, write_config(folder / "run.yaml", data), server, forks)
        assert bench.run("out") == 0, bench.log("out")
    out, outcome = folder / "out", bench.result("out")
    uri = tracking_uri(out)
    _, (parent, *trials) = runs_of(uri, outcome["run_id"])
    with served(out, port) as process, browser(1600, 1000) as page:
        wait_for_port(port, process)
        page.set_default_timeout(PATIENCE)
        yield Shown(parent, trials, outcome, trials_address(out, uri), f"http://127.0.0.1:{port}", page)
        check_that_it_ends(process, port, signal.SIGINT)


def rows(page: Page) -> Locator:
    """Return the rows that name a run."""
    return page.get_by_role("row").filter(has=page.locator("a[href*='/runs/']"))


def name(run: Any) -> str:
    return str(run.info.run_name)


def test_trials_lie_below_their_run(shown: Shown) -> None:
    page = shown.visit(shown.runs)
    page.get_by_text(name(shown.parent)).wait_for()
    assert rows(page).count() == 1, "trials are not nested"
    rows(page).get_by_role("gridcell").nth(1).get_by_role("button").first.click()
    page.get_by_text(name(shown.trials[0])).wait_for()
    shown.keep("nested")
    assert all(page.get_by_role("link", name=name(trial)).count() == 1 for trial in shown.trials)


def test_the_winner_is_first_by_rank_and_a_best_one_by_score(shown: Shown) -> None:
    winner, *_ = shown.ranked
    assert winner.data.tags["candidate_id"] == shown.outcome["winner"]["candidate_id"]
    page = shown.visit(shown.by_rank)
    page.get_by_text(name(shown.trials[0])).wait_for()
    assert rows(page).first.get_by_role("link").inner_text() == name(winner)
    shown.keep("by-rank")
    asked = urlencode({"searchFilter": "tags.`metier.trial` != ''", "orderByKey": "metrics.`score`"})
    page = shown.visit(f"{shown.runs}?{asked}&orderByAsc=false")
    page.get_by_role("button", name="Sort: score").wait_for()
    page.get_by_text(name(shown.trials[0])).wait_for()
    best = [name(run) for run in shown.trials if run.data.metrics.get("score") == winner.data.metrics["score"]]
    assert rows(page).first.get_by_role("link").inner_text() in best
    shown.keep("by-score")


def test_the_score_is_drawn_over_blocks(shown: Shown) -> None:
    page = shown.visit(f"{shown.runs}/{shown.ranked[0].info.run_id}/model-metrics")
    page.get_by_placeholder("Search metric charts").fill("^seen_score$")
    page.locator(".js-line").first.wait_for(state="attached")  # a level one has no height
    shown.keep("score-over-blocks")


def test_two_trials_are_compared_by_their_answers(shown: Shown) -> None:
    page = shown.visit(f"{shown.by_rank}&compareRunsMode=ARTIFACT")
    page.get_by_text("store has").first.wait_for()
    assert page.get_by_text("answer", exact=True).count(), "the heading of the columns that are compared"
    assert not page.get_by_text("expected", exact=True).count(), "the label is the same in every trial"
    shown.keep("compared")
    for trial in shown.ranked[:2]:
        assert page.get_by_text(name(trial)).count() == 2, "once as a row, once as a column beside the other"


def test_the_prompt_of_a_trial_opens(shown: Shown) -> None:
    page = shown.visit(f"{shown.runs}/{shown.ranked[0].info.run_id}/artifacts")
    page.get_by_text("prompt.md").click()
    page.get_by_text("Sort it").first.wait_for()
    shown.keep("prompt")


def test_the_registered_prompt_has_its_aliases(shown: Shown) -> None:
    page = shown.visit(f"#/prompts/{shown.outcome['task']}")
    page.get_by_text("Viewing version 1").wait_for()
    shown.keep("registered")
    assert page.get_by_text("challenger").count()
    assert bool(page.get_by_text("champion").count()) == (shown.outcome["verdict"] == "improved")
