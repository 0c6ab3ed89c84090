"""The Q8_0 twin: its bytes, when it is made, and that it answers."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from optimizer.errors import ModelError
from optimizer.models import reencode
from optimizer.models.reencode import reencoded, twin_path

Kind = gguf.GGMLQuantizationType


def write_model(path: Path, kinds: tuple[Kind, ...] = (Kind.Q8_0, Kind.F32, Kind.Q4_1), seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.name", "tiny")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_1)
    writer.add_array("tokenizer.ggml.tokens", ["a", "é", "c"])
    for number, kind in enumerate(kinds):
        weights = rng.normal(size=(4, 64)).astype(np.float32)
        data = weights if kind == Kind.F32 else gguf.quants.quantize(weights, kind)
        writer.add_tensor(f"t{number}", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny.Q4_1.gguf")


@pytest.fixture
def makes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    made: list[Path] = []
    real = reencode._make
    monkeypatch.setattr(reencode, "_make", lambda source, twin: (made.append(source), real(source, twin)))
    return made


def test_only_q4_1_tensors_and_the_file_type_change(source):
    before, after = gguf.GGUFReader(source), gguf.GGUFReader(reencoded(source))
    assert [t.tensor_type for t in after.tensors] == [Kind.Q8_0, Kind.F32, Kind.Q8_0]
    for old, new in zip(before.tensors[:2], after.tensors[:2], strict=True):
        assert new.data.tobytes() == old.data.tobytes()
    weights = gguf.quants.dequantize(before.tensors[2].data, Kind.Q4_1)
    again = gguf.quants.dequantize(after.tensors[2].data, Kind.Q8_0)
    assert np.abs(weights - again).max() <= np.abs(weights).max() / 127
    kept = [name for name in before.fields if not name.startswith("GGUF.") and name != "general.file_type"]
    assert {name: after.fields[name].contents() for name in kept} == {n: before.fields[n].contents() for n in kept}
    assert after.fields["general.file_type"].contents() == gguf.LlamaFileType.MOSTLY_Q8_0


def test_it_is_made_once_and_the_same_bytes_each_time(source, makes):
    twin = reencoded(source)
    first = twin.read_bytes()
    assert reencoded(source) == twin == twin_path(source)
    assert len(makes) == 1
    twin.unlink()
    assert reencoded(source).read_bytes() == first
    assert len(makes) == 2


def test_a_damaged_twin_and_a_changed_source_are_noticed(source, makes):
    good = reencoded(source).read_bytes()
    twin_path(source).write_bytes(b"GGUF")
    assert reencoded(source).read_bytes() == good
    write_model(source, seed=1)
    assert reencoded(source).read_bytes() != good
    assert len(makes) == 3


def test_a_file_without_q4_1_is_left_alone(tmp_path, makes):
    other = write_model(tmp_path / "x.gguf", (Kind.Q8_0, Kind.F32))
    assert reencoded(other) == other
    assert makes == []


def test_what_is_no_model_is_refused(tmp_path):
    text = tmp_path / "x.gguf"
    text.write_text("hello")
    with pytest.raises(ModelError, match=r"x\.gguf"):
        reencoded(text)


def test_a_full_disk_leaves_no_twin(source, monkeypatch):
    def full(source: Path, twin: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reencode, "_make", full)
    with pytest.raises(ModelError, match="twin"):
        reencoded(source)
    assert not twin_path(source).exists()
