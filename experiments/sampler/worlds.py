"""Made-up tasks: a true score for every candidate of a space, with main effects, interactions and duds."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.config.schema import Demos, Prior
from optimizer.propose.base import Proposal
from optimizer.search.sampler import Observation
from optimizer.search.space import Pool, Space
from optimizer.types import Candidate, Example

FORMATS = ("turns", "block", "chat", "json", "xml")
INSTRUCTIONS, SETS, TOPICS, WIDTH = 8, 4, 3, 16


@dataclass(frozen=True)
class Kind:
    """How a task's scores come about: standard deviations of effects, and the share of formats that never work."""

    main: float = 0.08
    pairs: float = 0.05
    every: float = 0.03
    duds: float = 0.2
    meaning: float = 0.7
    prior: float = 1.0


KINDS = {
    "additive": Kind(pairs=0.0, every=0.0),
    "interacting": Kind(),
    "tangled": Kind(main=0.05, pairs=0.1, every=0.06),
    "meaningless embeddings": Kind(meaning=0.0),
    "prior says nothing": Kind(prior=0.0),
    "prior is wrong": Kind(prior=-1.0),
}


class World:
    """One task drawn from a kind, decided by its seed: its space, embeddings, truth and noisy answers."""

    def __init__(self, kind: Kind, seed: int) -> None:
        self.kind, self._seed = kind, seed
        rng = np.random.default_rng(seed)
        examples = [Example({"text": f"message {n}"}, {"label": "abcd"[n % 4]}) for n in range(80)]
        sets = tuple(tuple(rng.permutation(np.array(examples, dtype=object))[:16]) for _ in range(SETS))
        self.topics = rng.normal(size=(TOPICS, WIDTH))
        instructions = tuple(Proposal(f"instruction {n} on topic {n % TOPICS}", "made up") for n in range(INSTRUCTIONS))
        self.space = Space({"predict": Pool(instructions, sets, 80)}, FORMATS, Demos(), Prior())
        self.level = rng.uniform(0.1, 0.4)
        self.slope = rng.normal(0.0, kind.main)
        self._cache: dict[tuple[str, ...], float] = {}
        self.broken = {name for name in FORMATS[1:] if rng.random() < kind.duds}

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit vectors: an instruction lies near its topic, as a paraphrase does."""
        found = []
        for text in texts:
            own = np.random.default_rng(zlib.crc32(text.encode())).normal(size=WIDTH)
            found.append(own if "topic" not in text else 2 * self.topics[int(text.split()[-1])] + own)
        vectors = np.array(found, dtype=np.float32)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    def truth(self, candidate: Candidate) -> float:
        """Return a candidate's expected score, in [0.02, 0.98]."""
        prompt = candidate.prompts["predict"]
        if prompt.format in self.broken:
            return 0.02
        parts = {"instruction": prompt.instruction, "format": prompt.format}
        if prompt.count:
            parts |= {"policy": prompt.policy, "count": f"{prompt.count}", "order": prompt.order}
            if prompt.policy == "static":
                parts["set"] = prompt.demos[0].origin or prompt.demos[0].id
        kind, scale = self.kind, {"order": 0.25, "set": 0.5, "count": 0.25}
        score = self.level + self.slope * np.log2(1 + prompt.count) / 4
        score += kind.prior * Prior().of(prompt.format, prompt.count, prompt.policy)
        for name, value in parts.items():
            score += kind.main * scale.get(name, 1.0) * self._effect(name, value)
        names = sorted(parts)
        for place, one in enumerate(names):
            for two in names[place + 1 :]:
                score += kind.pairs / 2 * self._normal(one, parts[one], two, parts[two])
        score += kind.every * self._normal(*(parts[name] for name in names))
        return float(np.clip(score, 0.02, 0.98))

    def answers(self, candidate: Candidate, start: int, count: int) -> np.ndarray:
        """Return scores of 0 and 1 for `count` examples, the same for one candidate whenever it is asked."""
        rng = np.random.default_rng([self._seed, zlib.crc32(candidate.id.encode())])
        return (rng.random(start + count)[start:] < self.truth(candidate)).astype(float)

    def _effect(self, name: str, value: str) -> float:
        if name != "instruction":
            return self._normal(name, value)
        shared = self._normal("topic", value.split()[-1])
        return float(np.sqrt(self.kind.meaning) * shared + np.sqrt(1 - self.kind.meaning) * self._normal(name, value))

    def _normal(self, *parts: str) -> float:
        if parts not in self._cache:
            key = zlib.crc32(" ".join(parts).encode())
            self._cache[parts] = float(np.random.default_rng([self._seed, key]).normal())
        return self._cache[parts]


def observation(scores: np.ndarray) -> Observation:
    """Return the mean of some scores and its variance, as the trial log tells it."""
    from optimizer.evaluate.statistics import standard_error

    return Observation(float(scores.mean()), max(1e-4, standard_error(scores.tolist()) ** 2), len(scores))
