from __future__ import annotations

import errno
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from optimizer.errors import ModelError
from optimizer.models import disk, reencode
from optimizer.models.reencode import Q4_0, Q4_1, Q8_0, reencoded, to_q8_0, twin_path
from optimizer.models.seals import sha256_of
from optimizer.models.server import EmbeddedServer

ROOT = Path(__file__).resolve().parents[2]
F32, Q4_K = 0, 12
SIZES = {F32: 4 * 32, Q4_0: 18, Q4_1: 20, Q8_0: 34, Q4_K: 144 // 8}


def blocks(kind: int, count: int, seed: int = 0) -> bytes:
    """Random blocks of 32 weights whose scales are ordinary numbers."""
    rng = np.random.default_rng(seed)
    if kind not in (Q4_0, Q4_1):
        return rng.bytes(SIZES[kind] * count)
    halves = rng.normal(size=(count, 1 if kind == Q4_0 else 2)).astype("<f2").view(np.uint8)
    nibbles = rng.integers(0, 256, size=(count, 16), dtype=np.uint8)
    return np.concatenate([halves, nibbles], axis=1).tobytes()


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


METADATA = {
    b"general.architecture": struct.pack("<I", 8) + text(b"llama"),
    b"general.file_type": struct.pack("<II", 4, 3),
    b"general.alignment": struct.pack("<II", 4, 64),
    b"some.empty": struct.pack("<I", 8) + text(b""),
    b"some.flag": struct.pack("<IB", 7, 1),
    b"some.words": struct.pack("<IIQ", 9, 8, 2) + text(b"a") + text(b"\xff not UTF-8"),
    b"some.numbers": struct.pack("<IIQ3d", 9, 12, 3, 0.1, 0.2, 0.3),
    b"some.nested": struct.pack("<IIQ", 9, 9, 2) + struct.pack("<IQ2H", 2, 2, 7, 8) + struct.pack("<IQ", 5, 0),
}


def write_model(path: Path, kinds: tuple[int, ...] = (Q8_0, F32, Q4_1, Q4_0), version: int = 3, seed: int = 0) -> Path:
    """A GGUF file with one tensor of 3 x 64 weights of each kind."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(kinds), len(METADATA))
    head += b"".join(text(key) + value for key, value in METADATA.items())
    data = b""
    for i, kind in enumerate(kinds):
        head += text(f"t{i}".encode()) + struct.pack("<IQQIQ", 2, 64, 3, kind, len(data))
        data += blocks(kind, 6, seed + i)
        data += bytes(-len(data) % 64)
    path.write_bytes(head + bytes(-len(head) % 64) + data)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny.Q4_1.gguf")


@pytest.fixture
def makes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The sources that were re-encoded."""
    seen: list[Path] = []
    make: Callable[[Path, Path], str] = reencode._write_twin

    def note(source: Path, draft: Path) -> str:
        seen.append(source)
        return make(source, draft)

    monkeypatch.setattr(reencode, "_write_twin", note)
    return seen


def nothing_left(folder: Path) -> bool:
    return not list(folder.glob("*.draft"))


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct.Q8_0.gguf"),
        ("gemma-2b-it-q4_0.gguf", "gemma-2b-it.Q8_0.gguf"),
        ("model.gguf", "model.Q8_0.gguf"),
        ("a.Q4_1.b.gguf", "a.Q4_1.b.Q8_0.gguf"),
    ],
)
def test_the_twin_lies_beside_the_source(tmp_path, name, twin):
    assert twin_path(tmp_path / name) == tmp_path / twin


@pytest.mark.parametrize("kind", [Q4_0, Q4_1])
def test_blocks_are_what_the_reference_makes_of_them(kind):
    quants = pytest.importorskip("gguf").quants
    types = pytest.importorskip("gguf").GGMLQuantizationType
    data = blocks(kind, 4096) + bytes(SIZES[kind])
    weights = quants.dequantize(np.frombuffer(data, np.uint8).reshape(-1, SIZES[kind]), types(kind))
    assert to_q8_0(data, kind) == quants.quantize(weights, types.Q8_0).tobytes()


@pytest.mark.parametrize("kind", [Q4_0, Q4_1])
def test_weights_stay_within_half_a_step(kind):
    data = blocks(kind, 1000)
    before = reencode._dequantized(np.frombuffer(data, np.uint8).reshape(1000, -1), kind)
    after = np.frombuffer(to_q8_0(data, kind), np.uint8).reshape(1000, 34)
    scale = np.ascontiguousarray(after[:, :2]).view("<f2").astype(np.float32)
    error = np.abs(after[:, 2:].view(np.int8) * scale - before)
    # Half a step, and what the 16 bits of the scale lose at up to 127 steps.
    assert (error <= scale * (0.5 + 127 / 2048)).all()


def test_only_the_slow_tensors_and_the_file_type_change(source):
    gguf = pytest.importorskip("gguf")
    before, after = gguf.GGUFReader(source), gguf.GGUFReader(reencoded(source))
    assert [t.tensor_type.name for t in after.tensors] == ["Q8_0", "F32", "Q8_0", "Q8_0"]
    for old, new in zip(before.tensors, after.tensors, strict=True):
        assert (new.name, list(new.shape)) == (old.name, list(old.shape))
        kept, was = old.tensor_type == new.tensor_type, old.data.tobytes()
        assert new.data.tobytes() == (was if kept else to_q8_0(was, old.tensor_type))
    assert after.alignment == 64
    assert after.fields["general.file_type"].contents() == gguf.LlamaFileType.MOSTLY_Q8_0
    was = source.read_bytes()[: before.tensors[0].field.offset]
    changed = after.fields["general.file_type"].parts[-1].tobytes()
    place = was.index(b"general.file_type") + len(b"general.file_type") + 4
    assert twin_path(source).read_bytes()[: len(was)] == was[:place] + changed + was[place + 4 :]


def test_the_same_bytes_twice_also_in_other_chunks(source, tmp_path, monkeypatch):
    first = reencoded(source).read_bytes()
    monkeypatch.setattr(reencode, "_CHUNK_BLOCKS", 4)
    other = tmp_path / "other"
    other.mkdir()
    assert reencoded(Path(shutil.copy(source, other))).read_bytes() == first


def test_it_is_made_once(source, makes):
    twin = reencoded(source)
    assert twin.name == "tiny.Q8_0.gguf"
    assert reencoded(source) == twin
    os.utime(source)
    assert reencoded(source) == twin
    assert makes == [source]
    assert nothing_left(source.parent)
    # The twin itself needs none.
    assert reencoded(twin) == twin
    assert makes == [source]


def test_a_changed_source_is_reencoded_again(source, makes):
    old = sha256_of(reencoded(source))
    write_model(source, seed=1)
    assert sha256_of(reencoded(source)) != old
    assert len(makes) == 2


@pytest.mark.parametrize("harm", [lambda twin: twin.write_bytes(b"GGUF"), lambda twin: twin.unlink()])
def test_a_damaged_or_missing_twin_is_made_anew(source, makes, harm):
    sha256 = sha256_of(reencoded(source))
    harm(twin_path(source))
    assert sha256_of(reencoded(source)) == sha256
    assert len(makes) == 2


def test_a_crash_with_a_changed_source_leaves_no_old_twin_in_force(source, makes, monkeypatch):
    reencoded(source)
    write_model(source, seed=1)
    with monkeypatch.context() as patch:
        patch.setattr(reencode, "_write_twin", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            reencoded(source)
    reencoded(source)
    assert len(makes) == 2


def test_a_file_of_the_twins_name_that_we_did_not_make_is_left_alone(source):
    twin_path(source).write_bytes(b"the user's own")
    assert reencoded(source) == source
    assert twin_path(source).read_bytes() == b"the user's own"


def test_two_sources_of_one_name_do_not_take_turns(source, makes):
    other = write_model(source.with_name("tiny.Q4_0.gguf"), (Q4_0,))
    for _ in range(2):
        assert reencoded(source) == twin_path(source)
        assert reencoded(other) == other
    assert makes == [source]


@pytest.mark.parametrize(
    ("name", "kinds", "version"),
    [
        ("m.gguf", (Q8_0, F32), 3),
        ("m.gguf", (Q4_1, Q4_K), 3),
        ("m.gguf", (Q4_1,), 99),
        ("m-00001-of-00002.gguf", (Q4_1,), 3),
    ],
)
def test_any_other_file_is_returned_untouched(tmp_path, name, kinds, version):
    source = write_model(tmp_path / name, kinds, version)
    assert reencoded(source) == source
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("size", [10, 30, 200, 460, -1])
def test_a_truncated_source_is_told_and_leaves_no_twin(source, size):
    source.write_bytes(source.read_bytes()[:size] if size > 0 else source.read_bytes()[:-100])
    with pytest.raises(ModelError, match="a damaged GGUF file: it ends after"):
        reencoded(source)
    assert not twin_path(source).exists()
    assert nothing_left(source.parent)


def test_a_source_that_is_no_model_is_told(tmp_path):
    with pytest.raises(ModelError, match="no such model file"):
        reencoded(tmp_path / "none.gguf")
    (tmp_path / "notes.gguf").write_text("hello")
    with pytest.raises(ModelError, match="not a GGUF model file"):
        reencoded(tmp_path / "notes.gguf")
    source = tmp_path / "odd.gguf"
    source.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text(b"key") + struct.pack("<I", 77))
    with pytest.raises(ModelError, match="a value of the unknown type 77"):
        reencoded(source)


def test_a_full_disk_is_told_and_leaves_nothing(source, monkeypatch):
    def full(descriptor: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "write", full)
        with pytest.raises(ModelError, match=f"the disk of {source.parent} is full"):
            reencoded(source)
    assert not twin_path(source).exists()
    assert nothing_left(source.parent)
    assert reencoded(source) == twin_path(source)


def test_two_processes_make_it_once(source, tmp_path):
    made = tmp_path / "made"
    program = f"""
import os, sys, time
from pathlib import Path
from optimizer.models import reencode
make = reencode._write_twin
def note(source, draft):
    with open({str(made)!r}, "a") as file:
        file.write("x")
    time.sleep(0.5)
    return make(source, draft)
reencode._write_twin = note
sys.stdin.read(1)
print(reencode.reencoded(Path({str(source)!r})))
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, **pipes) for _ in range(2)]
    for child in children:
        child.stdin.write("x")
        child.stdin.flush()
    answers = [child.communicate(timeout=60)[0].strip() for child in children]
    assert answers == [str(twin_path(source))] * 2
    assert made.read_text() == "x"


@pytest.mark.real
def test_the_real_twin_answers_and_is_always_the_same(smollm2_path, tmp_path):
    source = Path(shutil.copy(smollm2_path, tmp_path))
    twin = reencoded(source)
    assert sha256_of(twin) == "0c1d3326cd9793cfb7296113c063dd5c24e2bd734b48ec1a3d01b7158eca9387"
    messages = [{"role": "user", "content": "What is the capital of France? Answer in one short sentence."}]
    body = {"model": "local/m", "messages": messages, "max_tokens": 16, "temperature": 0}
    with EmbeddedServer(twin, "local/m", context=512, threads=1) as embedded:
        answer = httpx.post(f"{embedded.address}/v1/chat/completions", json=body, timeout=60)
    assert "Paris" in answer.json()["choices"][0]["message"]["content"]
    source.unlink()
    twin.unlink()
