"""The instruction in another language: a model may follow one better than the other."""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.propose.base import Proposal, Subject
from optimizer.propose.writer import Writer, as_data
from optimizer.types import Example

ORIGIN = "translate"
# The commonest words of each language that are no word of the others.
COMMON = {
    "English": {"the", "and", "is", "with", "of", "to", "your", "what", "this", "that", "for", "or", "it"},
    "French": {"le", "les", "une", "et", "est", "pour", "dans", "vous", "du", "je", "ne", "pas", "que", "qui"},
    "German": {"der", "die", "das", "und", "ist", "nicht", "ein", "eine", "mit", "ich", "sie", "zu", "auf"},
    "Spanish": {"el", "los", "las", "y", "es", "por", "para", "con", "su", "del", "como", "una", "pero"},
    "Italian": {"il", "gli", "di", "e", "che", "per", "non", "sono", "della", "è", "con", "una", "mi"},
}
READ = 40


class Translate:
    """Has the prompt model translate the parent's instruction: into the data's language, else into English."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions; none where instruction and data are both in English."""
        told, data = language_of(subject.instruction), _language_of_all(subject.examples)
        wanted = data if told != data else "English"
        if wanted == told:
            return []
        texts = [
            await self._writer.write("translate", subject, number, language=wanted) for number in range(min(count, 1))
        ]
        return [Proposal(text, ORIGIN, subject.lineage[:1]) for text in texts if text]


def language_of(text: str) -> str:
    """Return the language whose commonest words are the most frequent; English where none is told."""
    words = text.casefold().replace("'", " ").replace("’", " ").split()
    return max(COMMON, key=lambda name: sum(word in COMMON[name] for word in words))


def _language_of_all(examples: Sequence[Example]) -> str:
    return language_of(" ".join(as_data(dict(example.inputs)) for example in examples[:READ]))
