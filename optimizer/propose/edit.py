"""Edits of phrases that need no model: delete, swap, shorten, reorder (GrIPS, arXiv:2203.07281)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from optimizer.propose.base import Proposal, Subject, folded

ORIGIN = "edit"
_PHRASES = re.compile(r"[^.!?;:,\n]+[.!?;:,]*\s*|\n+")
_ASIDE = re.compile(r"\s*\([^()]*\)|,[^,.;:!?\n]*(?=,|[.;:!?\n]|$)")
_FILLER = re.compile(r"\b(?:please|very|really|just|simply|carefully|also|in order(?= to))\b[ ,]*", re.IGNORECASE)
TRIES = 8


class Edit:
    """Changes the parent's instruction by one edit after the other, drawn by chance."""

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions that differ from the parent's; none for one of a single phrase."""
        rng = random.Random(f"edit:{subject.serial}:{subject.predictor}")  # noqa: S311
        found = {folded(subject.instruction): ""}
        for _ in range(TRIES * count):
            text = rng.choice(EDITS)(subject.instruction, rng).strip()
            if len(found) > count:
                break
            if text:
                found.setdefault(folded(text), text)
        return [Proposal(text, ORIGIN, subject.lineage[:1]) for text in found.values() if text][:count]


def phrases(text: str) -> list[str]:
    """Return a text in phrases, with the marks and spaces that end them; joined they are the text."""
    return _PHRASES.findall(text)


def _delete(text: str, rng: random.Random) -> str:
    parts = phrases(text)
    if len(parts) < 2:
        return text
    del parts[rng.randrange(len(parts))]
    return "".join(parts)


def _swap(text: str, rng: random.Random) -> str:
    parts = phrases(text)
    if len(parts) < 2:
        return text
    one, two = rng.sample(range(len(parts)), 2)
    parts[one], parts[two] = parts[two], parts[one]
    return _spaced(parts)


def _reorder(text: str, rng: random.Random) -> str:
    """Move one phrase to the end: what is said last is often followed best."""
    parts = phrases(text)
    if len(parts) < 2:
        return text
    parts.append(parts.pop(rng.randrange(len(parts) - 1)))
    return _spaced(parts)


def _shorten(text: str, rng: random.Random) -> str:
    """Take out an aside, or else words that say nothing."""
    asides = list(_ASIDE.finditer(text))
    if asides:
        aside = rng.choice(asides)
        return text[: aside.start()] + text[aside.end() :]
    return _FILLER.sub("", text)


def _spaced(parts: list[str]) -> str:
    """Join phrases that have changed their places: a space where one of them ends in none."""
    return "".join(part if part[-1:].isspace() else f"{part} " for part in parts)


EDITS: tuple[Callable[[str, random.Random], str], ...] = (_delete, _swap, _shorten, _reorder)
