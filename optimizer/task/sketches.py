"""What is kept of each of millions of texts, some hundred bytes, to see afterwards which are copies or alike.

Texts are alike where they share runs of letters that hardly any other text has (sampled by the hash's value, Manber
1994), or have some of their least hashes in common (MinHash, Broder 1997); how alike they are is estimated by the share
of the least hashes that agree, a byte of each being kept (Li and König 2010, b-Bit minwise hashing).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from optimizer.task.duplicates import mixed

if TYPE_CHECKING:
    import pyarrow as pa

# Of a longer text its beginning and its end are looked at, so many bytes each.
END = 200
# A run of letters without spaces. Of the runs of a text one in `HASHED` is hashed, and one in `SAMPLED` kept; a run in
# more texts than `MOST_TEXTS` says nothing.
RUN, HASHED, SAMPLED, MOST_TEXTS = 8, 2, 16, 24
# Least hashes of a text's runs: texts meet where all hashes of a band agree, and not too many others have them.
BANDS, WIDTH, MOST_MET = 32, 3, 500
# Of the texts that meet each is paired with so many before it; they are alike where such a share of hashes agrees.
BEFORE, ALIKE = 4, 0.35
# Numbers that are looked at together, and pairs that are kept: the most alike.
TOGETHER, MOST_PAIRS = 1 << 20, 200_000
_BASE = np.uint32(0x01000193)
_LOW, _HALF = np.uint64(2**32 - 1), np.uint64(32)


class Sketches:
    """What is kept of each text: a fingerprint of its letters, some of its runs of letters, and its least hashes."""

    def __init__(self) -> None:
        self._prints = _Growing(np.int64)
        self._runs = _Growing(np.uint64)  # the hash of a run, and below it the number of its text
        self._least = _Growing(np.uint8, BANDS * WIDTH)
        self._total = 0

    def add(self, texts: pa.LargeStringArray) -> None:
        """Take note of further texts, in small letters where they are not ASCII."""
        letters, starts = _letters(_ends(texts))
        runs = _runs(np.frombuffer(letters, np.uint8))
        whole = np.ones(len(runs), dtype=bool)
        for back in range(1, RUN):  # a run that begins in one text and ends in the next one is none
            at = starts[1:] - back
            whole[at[(at >= 0) & (at < len(runs))]] = False
        some = np.flatnonzero(whole & (runs < np.uint32(2**32 // HASHED)))
        kept = some[runs[some] < np.uint32(2**32 // SAMPLED)]
        numbers = (np.searchsorted(starts, kept, "right") - 1 + self._total).astype(np.uint64)
        self._runs.add((runs[kept].astype(np.uint64) << _HALF) | numbers)
        self._least.add(_least(runs[some], np.searchsorted(some, starts)))
        cuts = itertools.pairwise(starts.tolist())
        self._prints.add(np.array([hash(letters[start:end]) for start, end in cuts], np.int64))
        self._total += len(starts) - 1

    def same(self) -> np.ndarray:
        """Return pairs of texts with the same letters by number, as an array of shape (pairs, 2), in their order."""
        prints = self._prints.taken()
        order = np.argsort(prints, kind="stable")
        equal = np.flatnonzero(prints[order[1:]] == prints[order[:-1]])
        pairs = np.stack([order[equal], order[equal + 1]], axis=1)
        return pairs[np.argsort(pairs[:, 1], kind="stable")]

    def alike(self) -> np.ndarray:
        """Return pairs of texts that are alike, as an array of shape (pairs, 2), those first that are it most.

        It can be asked for once: the sketches are used up.
        """
        best, least = _Best(self._least.taken()), self._least.taken()
        runs = self._runs.taken()
        runs.sort()
        for some in _slices(runs):
            best.add(_sharing(some, MOST_TEXTS))
        self._runs = _Growing(np.uint64)
        del runs
        there = np.flatnonzero(least.any(axis=1)).astype(np.uint64)
        for band in range(BANDS):
            key = np.zeros(len(there), np.uint64)
            for column in range(band * WIDTH, (band + 1) * WIDTH):
                key = (key << np.uint64(8)) | least[there, column]
            key = (key << _HALF) | there
            key.sort()
            for some in _slices(key):
                best.add(_sharing(some, MOST_MET))
        pairs = best.pairs()
        return np.stack([pairs >> _HALF, pairs & _LOW], axis=1).astype(int)


class _Growing:
    """An array that grows at its end, in which numpy moves no large memory."""

    def __init__(self, dtype: type[np.generic], *width: int) -> None:
        self._all, self._used = np.zeros((1024, *width), dtype), 0

    def add(self, rows: np.ndarray) -> None:
        end = self._used + len(rows)
        if end > len(self._all):
            self._all.resize((end + end // 8, *self._all.shape[1:]), refcheck=False)
        self._all[self._used : end] = rows
        self._used = end

    def taken(self) -> np.ndarray:
        return self._all[: self._used]


class _Best:
    """The most alike of the pairs that are seen, each of them once."""

    def __init__(self, least: np.ndarray) -> None:
        self._least, self._enough = least, int(np.ceil(ALIKE * least.shape[1]))
        self._pairs, self._common = np.zeros(0, np.uint64), np.zeros(0, np.int64)

    def add(self, pairs: np.ndarray) -> None:
        """Take note of the pairs that are alike; the number of the earlier text is in the upper 32 bits."""
        pairs = np.unique(pairs)
        common = np.zeros(len(pairs), np.int64)
        for start in range(0, len(pairs), TOGETHER // 16):
            some = pairs[start : start + TOGETHER // 16]
            agree = self._least[some >> _HALF] == self._least[some & _LOW]
            common[start : start + len(some)] = np.count_nonzero(agree, axis=1)
        alike = common >= self._enough
        merged, first = np.unique(np.concatenate([self._pairs, pairs[alike]]), return_index=True)
        agreed = np.concatenate([self._common, common[alike]])[first]
        if len(merged) > MOST_PAIRS:
            best = np.sort(np.argsort(-agreed, kind="stable")[:MOST_PAIRS])
            merged, agreed = merged[best], agreed[best]
        self._pairs, self._common = merged, agreed

    def pairs(self) -> np.ndarray:
        """Return the pairs, the most alike first."""
        return self._pairs[np.argsort(-self._common, kind="stable")]


def _slices(keyed: np.ndarray) -> Iterator[np.ndarray]:
    """Yield sorted numbers in parts, none of which ends among those with the same upper 32 bits."""
    start = 0
    while start < len(keyed):
        last = keyed[min(start + TOGETHER, len(keyed)) - 1]
        end = int(np.searchsorted(keyed, last | _LOW, "right"))
        yield keyed[start:end]
        start = end


def _sharing(keyed: np.ndarray, most: int) -> np.ndarray:
    """Return pairs of texts with the same key, which not more than `most` have, the earlier one in the upper 32 bits.

    `keyed` is sorted: keys in the upper 32 bits, texts in the lower ones.
    """
    keys = keyed >> _HALF
    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    sizes = np.diff(np.concatenate([begins, [len(keys)]]))
    few = np.repeat((sizes > 1) & (sizes <= most), sizes)
    keys, texts = keys[few], keyed[few] & _LOW
    pairs = []
    for step in range(1, BEFORE + 1):
        both = (keys[step:] == keys[:-step]) & (texts[step:] != texts[:-step])
        pairs.append((texts[:-step][both] << _HALF) | texts[step:][both])
    return np.concatenate(pairs)


def _least(runs: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return an array of shape (texts, BANDS × WIDTH): a byte of each least hash; only 0 for a text without a run."""
    least = np.zeros((len(starts) - 1, BANDS * WIDTH), np.uint8)
    there = np.flatnonzero(np.diff(starts) > 0)
    if len(there):
        for column, seed in enumerate(_SEEDS):
            # The lower bits of the least number are anything; the upper ones are next to 0.
            least[there, column] = mixed(np.minimum.reduceat(runs * seed, starts[there])).astype(np.uint8)
    return least


def _ends(texts: pa.LargeStringArray) -> pa.LargeBinaryArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.cast(texts, pa.large_binary())
    long = pc.greater(pc.binary_length(texts), 2 * END)
    if not pc.any(long).as_py():
        return texts
    ends = (pc.binary_slice(texts, 0, END), pc.binary_slice(texts, -END, None))
    cut = pc.binary_join_element_wise(*ends, pa.scalar(b"", pa.large_binary()))
    return pc.if_else(long, cut, texts)


def _letters(texts: pa.LargeBinaryArray) -> tuple[bytes, np.ndarray]:
    """Return the letters and digits of all texts, without case, and where each text begins, and the last one ends."""
    _, offsets_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = bytes(memoryview(data_buffer or b"")[offsets[0] : offsets[-1]])
    kept = np.frombuffer(data.translate(_COUNTS), np.uint8)
    before = np.concatenate([[0], np.cumsum(kept, dtype=np.int64)])
    return data.translate(_FOLDED, _LEFT_OUT), before[offsets - offsets[0]]


def _runs(letters: np.ndarray) -> np.ndarray:
    """Return a hash of 32 bits for each run of `RUN` letters."""
    if len(letters) < RUN:
        return np.zeros(0, np.uint32)
    one = letters.astype(np.uint32)
    two = one[:-1] * _BASE + one[1:]
    four = two[:-2] * _BASE**2 + two[2:]
    return np.asarray(mixed(four[:-4] * _BASE**4 + four[4:]))


# Bytes that count: letters, digits, and those beyond ASCII.
_FOLDED = bytes(range(256)).lower()
_LEFT_OUT = bytes(code for code in range(128) if not chr(code).isalnum())
_COUNTS = bytes(code not in _LEFT_OUT for code in range(256))
# Odd numbers: to multiply by one of them puts all hashes in another order.
_SEEDS = np.random.default_rng(0).integers(0, 2**31, BANDS * WIDTH, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
