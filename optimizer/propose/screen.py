"""What of a proposed instruction may enter the search: cut to length, and nothing that was copied from the data."""

from __future__ import annotations

import re
from collections.abc import Sequence

from optimizer.prompt.demos import text_of
from optimizer.prompt.injection import Guard
from optimizer.prompt.overlap import word_runs
from optimizer.propose.base import folded
from optimizer.types import Example

# About 400 tokens; a task with many words of its own, labels say, may have half as many again.
FEWEST, MOST, LONGER = 12, 1600, 1.5
# An input of fewer words may well stand in an instruction by chance.
TELLING_WORDS = 4
_TAG = re.compile(r"</?(?:example|input|answer|expected|feedback|instruction|data)>|‹/?\w+", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?:;](?=\s|$)|\n")


class Screen:
    """Cuts an instruction to length, and tells why it may not enter the search, if it may not."""

    def __init__(self, examples: Sequence[Example], seed: str, own: Sequence[str] = ()) -> None:
        """`own` are the task's other words, its labels and their meanings: nobody copies them from the data."""
        words = " ".join((seed, *own))
        self.guard = Guard(examples, (seed, *own))
        self._most = max(MOST, int(LONGER * len(words)))
        texts = [text_of(example.inputs) for example in examples]
        self._runs = {run for text in texts for run in word_runs(text)} - set(word_runs(words))
        whole = {folded(text) for text in texts if len(text.split()) >= TELLING_WORDS}
        self._inputs = [text for text in whole if text not in folded(words)]

    def take(self, text: str) -> tuple[str, str]:
        """Return (the instruction as it may be used, ""), or ("", why it may not)."""
        cut = self._cut(text.strip())
        return ("", problem) if (problem := self._problem(cut)) else (cut, "")

    def _problem(self, text: str) -> str:
        if len(text) < FEWEST:
            return f"too short for an instruction: {text!r}"
        if tag := _TAG.search(text):
            return f"a tag of the request is left in it: {tag.group()}"
        for run in word_runs(text):
            if run in self._runs:
                return f'it copies training text: "{" ".join(run)}"'
        if any(copied in folded(text) for copied in self._inputs):
            return "it copies a training example's input"
        carried = self.guard.carried(text)
        return f"it holds {carried}" if carried else ""

    def _cut(self, text: str) -> str:
        """Return the whole sentences that fit; of one that is too long, its first words."""
        if len(text) <= self._most:
            return text
        short = text[: self._most]
        ends = [match.end() for match in _SENTENCE_END.finditer(short)] or [short.rfind(" ")]
        return short[: ends[-1] if ends[-1] > 0 else self._most].strip()
