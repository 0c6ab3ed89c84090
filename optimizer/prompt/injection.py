"""Text in the data that asks the model for something, and instructions that have taken it up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache

from optimizer.prompt.demos import text_of
from optimizer.prompt.overlap import word_runs
from optimizer.types import Candidate, Example, canonical_json

# Words in a row that an instruction may not share with a sentence that asks for something.
SHARED = 3
# Fewer examples with the same answer tell nothing of who asks.
FEW = 4
# Texts whose sentences are remembered: each predictor's pool, and the guard, ask for the same ones at the start.
KEPT = 20_000
NAMED = 3
_LINK = re.compile(
    r"(?:https?://|www\.)\S+|\b[\w.+-]+@[\w-]+\.\w+|\b[\w-]+\.(?:com|net|org|io|ru|xyz|example)\b", re.IGNORECASE
)
_TARGET = (
    r"(?:instruction|prompt|rubric|rule|guideline|answer|reply|replie|response|output|task|example|label|grader)s?"
)
_EVERY = r"(?:your|every|each|all|the new|the final|the improved)"
_ASKS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:ignore|disregard|forget|override|bypass|skip)\b.{{0,40}}\b(?:{_TARGET}|above|before|previous)\b",
        rf"\b(?:add|append|include|insert|mention|write|put|repeat|copy|quote)\b.{{0,80}}\b{_EVERY}\b.{{0,20}}\b{_TARGET}\b",
        rf"\b{_EVERY}\b.{{0,20}}\b{_TARGET}\b.{{0,30}}\b(?:must|should|has to|have to)\b",
        r"\b(?:add|append|include|insert|mention)\b.{0,60}(?:https?://|www\.)",
        r"\bsystem prompt\b|\byou are now\b|\bas an ai\b|\bnew instructions?:|^\s*system\s*:|<\|im_",
        r"\b(?:always|from now on|whatever the input)\b.{0,40}\b(?:answer|reply|respond|say|output|write)\b",
    )
)
# What an instruction never says of its own accord.
_TURNED = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,30}"
    r"\b(?:previous|above|prior|earlier|rubric|all (?:other )?instructions)\b",
    re.IGNORECASE,
)
_CODE = re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z])[\w-]{5,}\b|\b[A-Z]{4,}(?:[-_][A-Z0-9]+)*\b|\b\w+_\w+\b")


class Guard:
    """Knows which of some examples ask the model for something, and tells what an instruction took from them."""

    def __init__(self, examples: Sequence[Example], own: Iterable[str] = ()) -> None:
        """`own` are the task's words (its description, seed instructions, labels): they may be used freely."""
        self._examples, self._own = tuple(examples), "\n".join(own).casefold()

    @cached_property
    def asking(self) -> tuple[Example, ...]:
        """The examples with a sentence that asks the model for something."""
        return tuple(example for example in self._examples if _asking(example))

    def harmless(self, examples: Sequence[Example]) -> list[Example]:
        """Return those of its examples that a proposer may see: who asks for nothing; all, where there are none."""
        ids = {example.id for example in self.asking}
        return [example for example in examples if example.id not in ids] or list(examples)

    @cached_property
    def _orders(self) -> frozenset[tuple[str, ...]]:
        sentences = (sentence for one in self.asking for sentence in _asking(one))
        runs = {run for sentence in sentences for run in word_runs(sentence, SHARED)}
        return frozenset(runs - set(word_runs(self._own, SHARED)))

    @cached_property
    def _codes(self) -> frozenset[str]:
        texts = (_everything(example) for example in self._examples)
        return frozenset(code.casefold() for text in texts for code in _CODE.findall(text))

    def carried(self, instruction: str) -> str:
        """Return what an instruction says that may be an order from the data, in words; "" for nothing."""
        for pattern, what in ((_LINK, "an address"), (_TURNED, "an order to set other orders aside")):
            for match in pattern.findall(instruction):
                if match.casefold() not in self._own:
                    return f"{what} that is not the task's: {match}"
        for run in word_runs(instruction, SHARED):
            if run in self._orders:
                return f'words of an example that asks for something: "{" ".join(run)}"'
        for code in _CODE.findall(instruction):
            if code.casefold() in self._codes and code.casefold() not in self._own:
                return f"a name or code from the examples: {code}"
        return ""

    def note(self) -> str:
        """Return what a reader must know of examples that ask for something; "" if there are none."""
        if not self.asking:
            return ""
        where = "; ".join(example.origin or example.id for example in self.asking[:NAMED])
        count = "1 training example asks" if len(self.asking) == 1 else f"{len(self.asking)} training examples ask"
        more = ", among them" if len(self.asking) > NAMED else ":"
        return f"{count} the model for something{more} {where}. Read them: no instruction was made from them."

    def winner_note(self, winner: Candidate) -> str:
        """Return what a reader must know of the winner: orders in its instructions or its demos; "" for nothing."""
        carried = [self.carried(prompt.instruction) for prompt in winner.asked]
        warnings = [f"The winner's instruction holds {what}. Read it before you use it." for what in carried if what]
        ids = {example.id for example in self.asking}
        demos = [demo for prompt in winner.asked for demo in prompt.demos if demo.id in ids]
        if demos:
            warnings.append(
                f"The winner's demos hold {len(demos)} that ask for something ({demos[0].origin}). Read them."
            )
        return " ".join(warnings)


def calm(examples: Sequence[Example]) -> list[Example]:
    """Return the examples that ask the model for nothing, to be shown as demos.

    All, where asking belongs to the task: more than half of them do, or of those with the same answer.
    """
    harmless = [example for example in examples if not _asking(example)]
    before, after = (Counter(canonical_json(one.outputs) for one in some) for some in (examples, harmless))
    usual = [(after[answer], count) for answer, count in before.items() if count >= FEW]
    losing = any(2 * remaining < count for remaining, count in [*usual, (len(harmless), len(examples))])
    return list(examples) if losing else harmless


def _asking(example: Example) -> tuple[str, ...]:
    """Return the sentences of an example that ask the model for something."""
    return _orders_in(_everything(example))


@lru_cache(maxsize=KEPT)
def _orders_in(text: str) -> tuple[str, ...]:
    sentences = re.split(r"(?<=[.!?])\s+|\n+", text)
    return tuple(sentence for sentence in sentences if any(pattern.search(sentence) for pattern in _ASKS))


def _everything(example: Example) -> str:
    return f"{text_of(example.inputs)}\n{text_of(example.outputs)}"
