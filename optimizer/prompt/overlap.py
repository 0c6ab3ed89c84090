"""What a score may owe to memory: examples nearly equal across splits, instructions that quote training text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.prompt.demos import Embed, text_of
from optimizer.task.task import Task
from optimizer.types import Candidate, Example

# Cosine of MiniLM embeddings: above it pairs of banking10 differ in a tense or a comma, below it in what is asked.
ALIKE = 0.95
NAMED = 3
QUOTE_WORDS = 8  # in a row; shorter runs are common speech


@dataclass(frozen=True)
class Twins:
    """Two examples of different splits that say nearly the same; `likeness` is their cosine."""

    split: str
    example: Example
    other_split: str
    other: Example
    likeness: float


def near_duplicates(task: Task, embed: Embed) -> list[Twins]:
    """Return the validation and test examples that are too near to one of a split before theirs, nearest first.

    Embeddings find them (SemDeDup, Abbas et al. 2023, arXiv:2303.09540); identical inputs were refused before.
    """
    splits = {"train": task.train, "validation": task.validation, "test": task.test}
    found = [
        *_between(splits, "validation", ["train"], embed),
        *_between(splits, "test", ["train", "validation"], embed),
    ]
    return sorted(found, key=lambda twins: -twins.likeness)


def _between(splits: Mapping[str, Sequence[Example]], split: str, before: list[str], embed: Embed) -> Iterator[Twins]:
    others = [(name, example) for name in before for example in splits[name]]
    if not others or not splits[split]:
        return
    known = embed([text_of(example.inputs) for _, example in others])
    vectors = embed([text_of(example.inputs) for example in splits[split]])
    for example, vector in zip(splits[split], vectors, strict=True):
        likeness = known @ vector
        nearest = int(np.argmax(likeness))
        if likeness[nearest] >= ALIKE:
            yield Twins(split, example, *others[nearest], float(likeness[nearest]))


def duplicates_note(twins: Sequence[Twins]) -> str:
    """Return what a reader must know of them, naming the nearest; "" if there are none."""
    if not twins:
        return ""
    named = "; ".join(f"{t.example.origin} ({t.split}) and {t.other.origin} ({t.other_split})" for t in twins[:NAMED])
    count = "1 example says" if len(twins) == 1 else f"{len(twins)} examples say"
    more = ", among them" if len(twins) > NAMED else ":"
    return (
        f"{count} nearly what an example of another split says{more} {named}. "
        "Scores on them may owe something to memory: remove one of each pair, or split by author or time."
    )


def quotes(candidate: Candidate, examples: Sequence[Example]) -> list[str]:
    """Return the passages of `QUOTE_WORDS` words or more that an instruction has in common with an example's inputs."""
    runs = {run for prompt in candidate.asked for run in word_runs(prompt.instruction)}
    if not runs:
        return []
    texts = (text_of(example.inputs) for example in examples)
    return sorted({" ".join(run) for text in texts for run in word_runs(text) if run in runs})


def quotes_note(passages: Sequence[str]) -> str:
    """Return what a reader must know of passages that `quotes` found; "" if there are none."""
    if not passages:
        return ""
    passage = f'"{passages[0]}"'
    return f"The winner's instruction quotes training text outside its demos: {passage}. Read it before you use it."


def word_runs(text: str, length: int = QUOTE_WORDS) -> Iterator[tuple[str, ...]]:
    """Yield every `length` words that follow each other in a text, in lower case."""
    words = re.findall(r"\w+", text.lower())
    return (tuple(words[at : at + length]) for at in range(len(words) - length + 1))
