"""Three quarters for the answer, one for the sentence it rests on; and in words what was wrong."""

import re

LONGEST = 12  # words: the whole policy holds every answer, and is none


def score(example: dict, answer: dict) -> tuple[float, str]:
    """Return (score, feedback)."""
    said, found = str(answer["answer"] or ""), str(answer["sentences"] or "")
    wanted, source = example["answer"], example["sentences"]
    right = f" {_plain(wanted)} " in f" {_plain(said)} "
    short = len(said.split()) <= LONGEST
    kept = _plain(source) in _plain(found) and len(found) < len(example["policy"]) / 2
    told = [f"the answer is right: {wanted}" if right else f"the answer is '{wanted}', not '{said[:80]}'"]
    if not short:
        told.append(f"it has {len(said.split())} words, and a few are enough")
    if not kept:
        told.append(f"the sentence to find was '{source}', word for word and little else")
    return 0.75 * (right and short) + 0.25 * kept, "; ".join(told)


def _plain(text: str) -> str:
    return re.sub(r"[^\w:]+", " ", text).strip().casefold()
