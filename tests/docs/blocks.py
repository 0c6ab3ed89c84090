"""The blocks of README, CONTRIBUTING and the site, and what their marks say of how they are tested.

A mark stands after the language of a fence; the site and GitHub do not show it.

    python              run, in the namespace of the page's earlier blocks
    python file=…       written to that file, for the blocks that follow
    console             each line that begins with `$ ` is run; exit=N says how it must end
    yaml task           read as a task.yaml
    yaml metric         the outputs and the metric of a task.yaml, which is built
    yaml config         read as a run's YAML
    yaml section=NAME   read as that section of a run's YAML
    text                output, or a sketch; with file=… written to that file
    … skip: REASON      not run, and why; commands of ours are parsed all the same
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LANGUAGES = {"python", "console", "yaml", "text"}
_FENCE = re.compile(r"^```(\w*) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, its language and text, and its marks."""

    page: Path
    line: int
    language: str
    text: str
    marks: dict[str, str]

    @property
    def place(self) -> str:
        """The page and line, as an editor takes them."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The command lines of a console block."""
        return [line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ ")]


def pages() -> list[Path]:
    """Return every document whose blocks are tested."""
    site = sorted((ROOT / "docs" / "pages").rglob("*.md"))
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *site]


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        yield Block(page, text.count("\n", 0, match.start()) + 1, match[1], match[3], marks_of(match[2]))


def marks_of(written: str) -> dict[str, str]:
    """Return the marks after a language; a word without a value has ""."""
    words, _, reason = written.partition("skip:")
    marks = {name: value for name, _, value in (word.partition("=") for word in words.split())}
    return marks | ({"skip": reason.strip()} if "skip:" in written else {})
