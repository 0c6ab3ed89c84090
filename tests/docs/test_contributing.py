"""CONTRIBUTING tells where things are, and that is where they are."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from docs.blocks import ROOT, pages

sys.path.insert(0, str(ROOT / "docs"))

import rooms

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
# A file or folder of ours, as a document names it; rooms are often named without `optimizer/`.
_PATH = re.compile(r"(?<![\w/.-])((?:optimizer|tests|docs|experiments|tasks|configs|\w+)/[\w./-]*[\w])")
OURS = {"optimizer", "tests", "docs", "experiments", "tasks", "configs", *rooms.may_import()}
EXAMPLES = {"tasks/tickets", "docs/latest"}


def test_the_table_of_rooms_is_the_generated_one() -> None:
    assert rooms.written(TEXT) == TEXT, "run: python docs/rooms.py"


def test_every_sentence_is_of_a_room() -> None:
    assert set(rooms.SENTENCES) <= set(rooms.may_import())


def test_a_page_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="has no lines"):
        rooms.written("# Contributing")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_files_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = {name for name in _PATH.findall(text) if name.split("/")[0] in OURS} - EXAMPLES
    assert sorted(name for name in named if not any((ROOT / top / name).exists() for top in ("", "optimizer"))) == []
