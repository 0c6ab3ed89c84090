"""A Q8_0 twin of a Q4_1 or Q4_0 model: llama.cpp reads prompts faster with it than with Q4_1."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from optimizer.errors import ModelError
from optimizer.models import disk, gguf
from optimizer.models.seals import Seals, sha256_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# Numbers of the GGUF specification: tensor types, with the weights and bytes of a block of each type we know.
Q4_0, Q4_1, Q8_0 = 2, 3, 8
_F32, _F16, _Q6_K, _BF16 = 0, 1, 14, 30
_BLOCKS = {_F32: (1, 4), _F16: (1, 2), _BF16: (1, 2), Q4_0: (32, 18), Q4_1: (32, 20), Q8_0: (32, 34), _Q6_K: (256, 210)}
_SLOW = (Q4_1,)
# Types of metadata: bytes of each that has a fixed size.
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UINT32, _INT32, _STRING, _ARRAY = 4, 5, 8, 9
_VERSIONS = (2, 3)
_MOSTLY_Q8_0 = 7

# At 16,384 blocks of 32 weights the float32 copies take 2 MB each, whatever the size of the tensor.
_CHUNK_BLOCKS = 1 << 14
_SUFFIX = re.compile(r"[.\-_]q4_[01]$", re.IGNORECASE)
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")


def twin_path(source: Path) -> Path:
    """Return where the Q8_0 twin of a model file lies, or would lie: beside it."""
    return source.with_name(f"{_SUFFIX.sub('', source.stem)}.Q8_0.gguf")


def reencoded(source: Path) -> Path:
    """Return the Q8_0 twin of a Q4_1 or Q4_0 file, made if it is missing; any other file's own path.

    The twin is made anew if it is damaged or the source changed. The source is also returned if it
    is one of several shards, or if a file that we did not make has the twin's name. Raises
    ModelError where the source is not a sound GGUF file or the disk refuses.
    """
    twin, record = twin_path(source), source.with_name(f"{source.name}.twin.json")
    if _is_current(source, twin, record):
        return twin
    gguf.check(source)
    if _SHARD.search(source.stem) or not _is_slow(source):
        return source
    from filelock import FileLock

    try:
        with FileLock(twin.with_name(f"{twin.name}.lock")):
            if _is_current(source, twin, record):
                return twin
            if twin.exists() and not record.exists():
                # Somebody's own Q8_0 file, or the twin of another source: not ours to replace.
                return source
            _make(source, twin, record)
    except OSError as problem:
        raise disk.disk_error(source.name, source.parent, problem) from problem
    return twin


def _is_current(source: Path, twin: Path, record: Path) -> bool:
    """Tell if the twin is as we left it, and the source as it was then."""
    seals = Seals(record)
    made_from, made = seals.recorded(source), seals.recorded(twin)
    return bool(made_from and made and seals.holds(source, made_from) and seals.holds(twin, made))


def _is_slow(source: Path) -> bool:
    """Tell if the file has Q4_1 or Q4_0 tensors, and else only tensors that we can copy."""
    with source.open("rb") as file:
        layout = _read_layout(_Reader(file, source))
    types = {tensor.type for tensor in layout.tensors} if layout else set()
    return types <= _BLOCKS.keys() and not types.isdisjoint(_SLOW)


def _make(source: Path, twin: Path, record: Path) -> None:
    # The record is emptied first, so that no crash leaves an old twin that counts as the new source's.
    # The source is sealed before it is read, so that a change meanwhile is seen at the next call.
    record.write_text("{}", encoding="utf-8")
    seals = Seals(record)
    seals.put(source, sha256_of(source))
    draft = twin.with_name(f"{twin.name}.draft")
    try:
        sha256 = _write_twin(source, draft)
        os.replace(draft, twin)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
    seals.put(twin, sha256)


def _write_twin(source: Path, draft: Path) -> str:
    """Write the re-encoded file to the disk and return its sha256."""
    digest = hashlib.sha256()
    with source.open("rb") as file, draft.open("wb", buffering=0) as out:
        for data in _twin_bytes(_Reader(file, source)):
            digest.update(data)
            disk.write(out.fileno(), data)
        os.fsync(out.fileno())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Tensor:
    """One entry of the tensor table; `offset` counts from the start of the tensors' data."""

    name: bytes
    shape: tuple[int, ...]
    type: int
    offset: int

    @property
    def weights(self) -> int:
        count = 1
        for side in self.shape:
            count *= side
        return count

    def bytes_as(self, kind: int) -> int:
        """Return how many bytes the tensor takes in that type."""
        weights, size = _BLOCKS[kind]
        return self.weights // weights * size

    def entry(self, kind: int, offset: int) -> bytes:
        """Return its entry of the tensor table with another type and offset."""
        numbers = struct.pack(f"<I{len(self.shape)}QIQ", len(self.shape), *self.shape, kind, offset)
        return struct.pack("<Q", len(self.name)) + self.name + numbers


@dataclass(frozen=True)
class _Layout:
    """What stands where in a GGUF file."""

    metadata_end: int
    file_type_at: int | None
    alignment: int
    tensors: tuple[_Tensor, ...]
    data_start: int


class _Reader:
    """Little-endian values out of a GGUF file; one that ends too early is a ModelError."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self.path = file, path
        self._size = os.fstat(file.fileno()).st_size
        self.at = 0

    def seek(self, to: int) -> None:
        self.at = self._file.seek(to)

    def take(self, count: int) -> bytes:
        self._require(count)
        data = self._file.read(count)
        self.at += count
        return data

    def skip(self, count: int) -> None:
        self._require(count)
        self.seek(self.at + count)

    def uint32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def uint64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def string(self) -> bytes:
        return self.take(self.uint64())

    def skip_value(self, kind: int) -> None:
        if kind in _SIZES:
            self.skip(_SIZES[kind])
        elif kind == _STRING:
            self.skip(self.uint64())
        elif kind == _ARRAY:
            self._skip_array()
        else:
            raise self.damaged(f"its metadata has a value of the unknown type {kind}")

    def damaged(self, how: str) -> ModelError:
        return ModelError(f"{self.path}: a damaged GGUF file: {how}", "Pull or copy it again.")

    def _skip_array(self) -> None:
        kind, count = self.uint32(), self.uint64()
        if kind in _SIZES:
            self.skip(_SIZES[kind] * count)
            return
        for _ in range(count):
            self.skip_value(kind)

    def _require(self, count: int) -> None:
        if count > self._size - self.at:
            raise self.damaged(f"it ends after {self._size} bytes, too early")


def _read_layout(reader: _Reader) -> _Layout | None:
    """Return the file's layout, or None if its version is not one that we know."""
    reader.seek(len(gguf.MAGIC))
    if reader.uint32() not in _VERSIONS:
        return None
    tensor_count, key_count = reader.uint64(), reader.uint64()
    file_type_at, alignment = None, 32
    for _ in range(key_count):
        key, kind = reader.string(), reader.uint32()
        if key == b"general.alignment" and kind == _UINT32:
            alignment = reader.uint32()
            continue
        if key == b"general.file_type" and kind in (_UINT32, _INT32):
            file_type_at = reader.at
        reader.skip_value(kind)
    if alignment < 1:
        raise reader.damaged("its alignment is 0")
    metadata_end = reader.at
    tensors = tuple(_read_entry(reader) for _ in range(tensor_count))
    return _Layout(metadata_end, file_type_at, alignment, tensors, reader.at + -reader.at % alignment)


def _read_entry(reader: _Reader) -> _Tensor:
    name = reader.string()
    shape = tuple(reader.uint64() for _ in range(reader.uint32()))
    return _Tensor(name, shape, reader.uint32(), reader.uint64())


def _twin_bytes(reader: _Reader) -> Iterator[bytes]:
    """Yield the twin's bytes: the metadata as it is but for the file's type, the table, the tensors."""
    layout = _read_layout(reader)
    if layout is None:
        raise reader.damaged("its version changed while it was read")
    align = layout.alignment
    reader.seek(0)
    head = bytearray(reader.take(layout.metadata_end))
    if layout.file_type_at is not None:
        struct.pack_into("<I", head, layout.file_type_at, _MOSTLY_Q8_0)
    offset = 0
    for tensor in layout.tensors:
        kind = Q8_0 if tensor.type in _SLOW else tensor.type
        head += tensor.entry(kind, offset)
        offset += tensor.bytes_as(kind)
        offset += -offset % align
    yield bytes(head) + bytes(-len(head) % align)
    for tensor in layout.tensors:
        reader.seek(layout.data_start + tensor.offset)
        written = 0
        for data in _tensor_bytes(reader, tensor):
            written += len(data)
            yield data
        yield bytes(-written % align)


def _tensor_bytes(reader: _Reader, tensor: _Tensor) -> Iterator[bytes]:
    """Yield a tensor's bytes in the twin, a chunk at a time."""
    rest = tensor.bytes_as(tensor.type)
    step = _CHUNK_BLOCKS * _BLOCKS[tensor.type][1]
    while rest:
        data = reader.take(min(step, rest))
        rest -= len(data)
        yield to_q8_0(data, tensor.type) if tensor.type in _SLOW else data


def to_q8_0(data: bytes, kind: int) -> bytes:
    """Return blocks of the type Q4_0 or Q4_1 as blocks of the type Q8_0."""
    import numpy as np

    blocks = np.frombuffer(data, np.uint8).reshape(-1, _BLOCKS[kind][1])
    weights = _dequantized(blocks, kind)
    # The same arithmetic in float32 as llama.cpp's own: the scale is rounded to 16 bits only when it is stored.
    scale = np.abs(weights).max(axis=1, keepdims=True) / np.float32(127)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale != 0)
    weights *= inverse
    size = np.abs(weights)
    # Halves are rounded away from zero, as C does, where numpy takes the even neighbour.
    floor = np.floor(size)
    floor += (size - floor) >= np.float32(0.5)
    out = np.empty((len(blocks), _BLOCKS[Q8_0][1]), np.uint8)
    out[:, :2] = scale.astype("<f2").view(np.uint8)
    out[:, 2:] = np.copysign(floor, weights).astype(np.int8).view(np.uint8)
    return out.tobytes()


def _dequantized(blocks: npt.NDArray[np.uint8], kind: int) -> npt.NDArray[np.float32]:
    """Return the weights of Q4_0 or Q4_1 blocks, one row for each block."""
    import numpy as np

    # Each block has its scale, for Q4_1 its least value, then 16 bytes with the weights i and i + 16 in each.
    nibbles = blocks[:, -16:]
    levels = np.concatenate([nibbles & np.uint8(15), nibbles >> np.uint8(4)], axis=1).astype(np.float32)
    halves = np.ascontiguousarray(blocks[:, :-16]).view("<f2").astype(np.float32)
    if kind == Q4_0:
        levels -= np.float32(8)
    levels *= halves[:, :1]
    if kind == Q4_1:
        levels += halves[:, 1:]
    return levels
