"""The instruction in another language: a model may follow one better than the other."""

from __future__ import annotations

from optimizer.propose.base import Proposal, Subject
from optimizer.propose.writer import WritingProposer, as_data

# The commonest words of each language that are no word of the others.
COMMON = {
    "English": {"the", "and", "is", "with", "of", "to", "your", "what", "this", "that", "for", "or", "it"},
    "French": {"le", "les", "une", "et", "est", "pour", "dans", "vous", "du", "je", "ne", "pas", "que", "qui"},
    "German": {"der", "die", "das", "und", "ist", "nicht", "ein", "eine", "mit", "ich", "sie", "zu", "auf"},
    "Spanish": {"el", "los", "las", "y", "es", "por", "para", "con", "su", "del", "como", "una", "pero"},
    "Italian": {"il", "gli", "di", "e", "che", "per", "non", "sono", "della", "è", "con", "una", "mi"},
}
READ = 40


class Translate(WritingProposer):
    """Has the prompt model translate the parent's instruction: into the data's language, else into English."""

    name = "translate"

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return one instruction; none where instruction and data are both in English."""
        own = language_of(subject.instruction)
        data = language_of(" ".join(as_data(dict(example.inputs)) for example in subject.examples[:READ]))
        wanted = data if own != data else "English"
        if wanted == own:
            return []
        return await self.written(subject, min(count, 1), subject.lineage[:1], language=wanted)


def language_of(text: str) -> str:
    """Return the language whose commonest words are the most frequent; English where none is told."""
    words = text.casefold().replace("'", " ").replace("’", " ").split()
    return max(COMMON, key=lambda name: sum(word in COMMON[name] for word in words))
