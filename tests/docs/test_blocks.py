"""Every block of README, CONTRIBUTING and the site is run, read, or says why not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import dspy
import pytest

from docs.blocks import LANGUAGES, ROOT, blocks_of, marks_of, pages
from docs.workshop import Workshop, answers, parse, provider
from optimizer.config.schema import RunConfig
from optimizer.testing.fake_server import FakeServer

pytestmark = pytest.mark.filterwarnings("default")  # DSPy, litellm and MLflow deprecate things of each other
BLOCKS = {page: list(blocks_of(page)) for page in pages()}
RUN = [page for page, blocks in BLOCKS.items() if any("skip" not in b.marks and b.language != "text" for b in blocks)]
WORDS = {"task", "sweep", "metric", "config", "section", "file", "exit", "skip"}


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeServer]:
    with FakeServer(partial(provider, known=answers())) as server:
        yield server


@pytest.fixture
def as_before() -> Iterator[None]:
    """What a page changed in this process is changed back: a default of the config, and DSPy's model."""
    yield
    RunConfig.model_rebuild(force=True)
    dspy.configure(lm=None)


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=named)
def test_the_blocks_of_a_page_run(
    page: Path, tmp_path: Path, fake: FakeServer, as_before: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = Workshop(tmp_path, fake, monkeypatch, mlflow=page.stem == "mlflow")
    for block in BLOCKS[page]:
        if "skip" not in block.marks:
            workshop.run(block)


@pytest.mark.parametrize("page", BLOCKS, ids=named)
def test_every_block_has_a_language_and_marks_that_are_known(page: Path) -> None:
    fences = page.read_text(encoding="utf-8").count("\n```")
    assert fences == 2 * len(BLOCKS[page]), "a fence is indented, or not closed"
    for block in BLOCKS[page]:
        assert block.language in LANGUAGES, block.place
        assert set(block.marks) <= WORDS, block.place
        assert block.marks.get("skip") != "", f"{block.place}: say why it is skipped"
        if block.language == "console":
            assert block.commands, f"{block.place}: a command begins with `$ `"


@pytest.mark.parametrize("page", BLOCKS, ids=named)
def test_the_commands_that_are_not_run_can_be_parsed(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    newest = tmp_path / "runs" / "mine" / "ledger.db"  # what a command without a folder means
    newest.parent.mkdir(parents=True)
    newest.touch()
    for block in BLOCKS[page]:
        for line in block.commands if "skip" in block.marks else []:
            command = line.removeprefix(".venv/bin/")
            if command.startswith("metier "):
                parse(command)


def test_marks_are_read() -> None:
    assert marks_of("config file=run.yaml skip") == {"config": "", "file": "run.yaml", "skip": ""}
    assert marks_of("skip: it asks: a key=1") == {"skip": "it asks: a key=1"}
    assert marks_of("") == {}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120
