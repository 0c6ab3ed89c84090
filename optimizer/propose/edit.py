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
        edited = {folded(subject.instruction): ""}
        for _ in range(TRIES * count):
            text = rng.choice(EDITS)(subject.instruction, rng).strip()
            if len(edited) > count:
                break
            if text:
                edited.setdefault(folded(text), text)
        return [Proposal(text, ORIGIN, subject.lineage[:1]) for text in edited.values() if text][:count]


def phrases(text: str) -> list[str]:
    """Return a text in phrases, with the marks and spaces that end them; joined they are the text."""
    return _PHRASES.findall(text)


def _delete(parts: list[str], rng: random.Random) -> str:
    del parts[rng.randrange(len(parts))]
    return "".join(parts)


def _swap(parts: list[str], rng: random.Random) -> str:
    first, second = rng.sample(range(len(parts)), 2)
    parts[first], parts[second] = parts[second], parts[first]
    return _spaced(parts)


def _reorder(parts: list[str], rng: random.Random) -> str:
    """Move one phrase to the end: what is said last is often followed best."""
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


def _by_phrase(change: Callable[[list[str], random.Random], str]) -> Callable[[str, random.Random], str]:
    """Return an edit of a text from one of its phrases; a text of a single phrase stays as it is."""
    return lambda text, rng: change(parts, rng) if len(parts := phrases(text)) > 1 else text


EDITS = (_by_phrase(_delete), _by_phrase(_swap), _shorten, _by_phrase(_reorder))
