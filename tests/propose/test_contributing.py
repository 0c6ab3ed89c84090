"""The proposer that CONTRIBUTING shows, whole, against the conformance suite."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from optimizer.propose.base import Proposer
from optimizer.propose.writer import Writer
from optimizer.testing.proposers import ProposerSuite

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def shown() -> str:
    (code,) = re.findall(r"## A new proposer\n.*?```python\n(.*?)```", TEXT, re.DOTALL)
    return str(code)


def test_it_is_short() -> None:
    assert len(shown().splitlines()) <= 40


class TestShown(ProposerSuite):
    origin, writes = "questions", False

    def make(self, writer: Writer) -> Proposer:
        names: dict[str, Any] = {}
        # What the page says is what is tested; nothing else can be in it.
        exec(compile(shown(), "CONTRIBUTING.md", "exec"), names)
        made: Proposer = names["Questions"]()
        return made
