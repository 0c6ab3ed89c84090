"""Texts that are nearly equal, among hundreds of thousands: MinHash finds candidates, a comparison decides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.task.text import fold

# Two texts are nearly equal where so many of their runs of GRAM characters are the same (Jaccard's index).
GRAM, ALIKE = 4, 0.65
SHORTEST = 20  # characters; shorter texts are alike by chance
# Each text has BANDS × ROWS hashes. Two texts meet where all hashes of a band are the same, which for an index s
# happens with the chance 1 − (1 − sᴿᴼᵂˢ)ᴮᴬᴺᴰˢ: 0.997 for 0.65, 0.9999 for 0.75, 0.003 for 0.1.
BANDS, ROWS = 30, 4
# Of the texts that meet, those that each is compared with; and what the hashes of a pair must say to look closer.
NEIGHBOURS, WORTH_A_LOOK = 4, 0.45
# Characters of all texts that are hashed, and of one text at least: more than that, its beginning and its end are.
MOST_HASHED, LEAST_EACH, CHUNK, MOST_COMPARED = 40_000_000, 200, 2_000_000, 20_000


@dataclass(frozen=True)
class Near:
    """Two texts that are nearly equal, by number, the earlier one first; `likeness` is the least index of a field."""

    one: int
    two: int
    likeness: float


def nearly_equal(texts: Sequence[Sequence[str]], parts: Sequence[int]) -> list[Near]:
    """Return pairs of nearly equal texts, nearest first: for each text an earlier one of its part and one of another.

    A text is a sequence of fields, of which each must be nearly equal: questions about one document differ. `parts` has
    a number for each text; case, spaces and punctuation do not count. Work grows with the number of texts, not with its
    square (Broder 1997, On the resemblance and containment of documents): of a large group of texts that are all alike
    each is compared with some. Texts of fewer than `SHORTEST` characters are not looked at.
    """
    plain = [[_plain(field) for field in text] for text in texts]
    numbers = [number for number, text in enumerate(plain) if sum(map(len, text)) >= SHORTEST]
    if len(numbers) < 2:
        return []
    hashes, part = _hashes([" ".join(plain[number]) for number in numbers]), np.asarray(parts)[numbers]
    known = np.zeros((len(numbers), 2), dtype=bool)  # whether a text has its pair, by whether it is of the same part
    pairs: list[Near] = []
    refused: set[tuple[int, int]] = set()
    for band in range(BANDS):
        for first, second in _meeting(hashes, band, part, known):
            kind = int(part[first] == part[second])
            if known[second, kind] or (first, second) in refused:
                continue
            likeness = min(map(_jaccard, plain[numbers[first]], plain[numbers[second]]))
            if likeness >= ALIKE:
                known[second, kind] = True
                pairs.append(Near(numbers[first], numbers[second], likeness))
            else:
                refused.add((first, second))
    return sorted(pairs, key=lambda near: (-near.likeness, near.two, near.one))


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", fold(text)))


def _grams(text: str) -> set[str]:
    cut = text if len(text) <= MOST_COMPARED else text[: MOST_COMPARED // 2] + text[-MOST_COMPARED // 2 :]
    return {cut[at : at + GRAM] for at in range(len(cut) - GRAM + 1)}


def _jaccard(one: str, two: str) -> float:
    if one == two or min(len(one), len(two)) < GRAM:
        return float(one == two)
    first, second = _grams(one), _grams(two)
    common = len(first & second)
    return common / (len(first) + len(second) - common)


def _hashes(texts: Sequence[str]) -> np.ndarray:
    """Return an array of shape (texts, BANDS × ROWS): the least hash of a text's runs, by each hash function."""
    each = max(LEAST_EACH, MOST_HASHED // len(texts))
    rows, chunk, size = [], [], 0
    for text in texts:
        cut = text if len(text) <= each else text[: each // 2] + text[-each // 2 :]
        chunk.append(cut)
        size += len(cut)
        if size > CHUNK:
            rows.append(_hashes_of(chunk))
            chunk, size = [], 0
    return np.concatenate([*rows, *([_hashes_of(chunk)] if chunk else [])])


def _hashes_of(texts: Sequence[str]) -> np.ndarray:
    letters = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    starts = np.cumsum(lengths) - lengths
    runs = np.zeros(len(letters) - GRAM + 1, dtype=np.uint32)
    for at in range(GRAM):
        runs = runs * np.uint32(0x01000193) + letters[at : at + len(runs)]
    inside = np.ones(len(runs), dtype=bool)
    for at in range(1, GRAM):  # a run that begins in one text and ends in the next one is none
        inside[starts[1:] - at] = False
    runs = mixed(runs[inside])
    begins = starts - np.arange(len(texts)) * (GRAM - 1)
    seeds = np.random.default_rng(0).integers(1, 2**32, size=BANDS * ROWS, dtype=np.uint32)
    result = np.empty((len(texts), BANDS * ROWS), dtype=np.uint32)
    for column, seed in enumerate(seeds):
        result[:, column] = np.minimum.reduceat(mixed(runs ^ seed), begins)
    return result


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Return whole numbers of 32 bits in which each bit depends on each bit (the end of MurmurHash3)."""
    numbers = (numbers ^ (numbers >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    numbers = (numbers ^ (numbers >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    mixed: np.ndarray = numbers ^ (numbers >> np.uint32(16))
    return mixed


def _meeting(hashes: np.ndarray, band: int, part: np.ndarray, known: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of texts, the earlier one first, with the same hashes in a band, and enough of the others.

    Left out are those whose later text has its pair already.
    """
    factors = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 1], np.uint64)
    keys = hashes[:, band * ROWS : (band + 1) * ROWS].astype(np.uint64) @ factors
    order = np.argsort(keys, kind="stable")  # of the same key the earlier text comes first
    pairs: list[tuple[int, int]] = []
    for step in range(1, NEIGHBOURS + 1):
        same = np.flatnonzero(keys[order[step:]] == keys[order[:-step]])
        first, second = order[same], order[same + step]
        new = ~known[second, (part[first] == part[second]).astype(int)]
        first, second = first[new], second[new]
        for start in range(0, len(first), 100_000):  # bounds the memory
            one, two = first[start : start + 100_000], second[start : start + 100_000]
            worth = (hashes[one] == hashes[two]).mean(axis=1) >= WORTH_A_LOOK
            pairs += zip(one[worth].tolist(), two[worth].tolist(), strict=True)
    return pairs
