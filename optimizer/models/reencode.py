"""A Q8_0 twin of a Q4_1 model: the same weights, in the encoding that llama.cpp prompts fastest on x86.

Measured in experiments/reencode. The file is read and written with llama.cpp's own `gguf` package.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from filelock import FileLock

from optimizer.models import gguf as magic
from optimizer.models.disk import disk_error
from optimizer.models.seals import Seals
from optimizer.system.files import sha256_of


def twin_path(source: Path) -> Path:
    """Return the path of the Q8_0 twin of a model file, beside it, whether it exists or not."""
    stem = source.stem.removesuffix(".Q4_1")
    return source.with_name(f"{stem}.metier-Q8_0.gguf")


def reencoded(source: Path) -> Path:
    """Return the Q8_0 twin of a Q4_1 file, made if it is missing or damaged; any other file's own path.

    The same source gives the same bytes. Raises ModelError where the source is no GGUF file or the
    disk refuses.
    """
    twin, seals = twin_path(source), Seals(source.with_name("twin.json"))
    if _is_current(source, twin, seals):
        return twin
    magic.check(source)
    if not _is_q4_1(source):
        return source
    try:
        with FileLock(f"{twin}.lock"):
            if not _is_current(source, twin, seals):
                _make(source, twin)
                for file in (source, twin):
                    seals.put(file, sha256_of(file))
    except OSError as problem:
        raise disk_error(f"the Q8_0 twin of {source.name}", twin, problem) from None
    return twin


def _is_current(source: Path, twin: Path, seals: Seals) -> bool:
    """Tell if the twin is sound and was made from this very source."""
    records = [(file, seals.recorded(file)) for file in (source, twin)]
    return all(sha256 is not None and seals.holds(file, sha256) for file, sha256 in records)


def _is_q4_1(source: Path) -> bool:
    from gguf import GGMLQuantizationType as Kind
    from gguf import GGUFReader

    return any(tensor.tensor_type == Kind.Q4_1 for tensor in GGUFReader(source).tensors)


def _make(source: Path, twin: Path) -> None:
    """Write the twin whole or not at all: metadata as it was, Q4_1 tensors as Q8_0, the others as they were."""
    from gguf import GGUFReader, GGUFWriter

    reader = GGUFReader(source)
    draft = twin.with_suffix(".draft")
    writer = GGUFWriter(draft, reader.fields["general.architecture"].contents())
    _copy_metadata(reader, writer)
    for tensor in reader.tensors:
        data, kind = _as_q8_0(tensor)
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with draft.open("rb+") as file:
        os.fsync(file.fileno())
    draft.replace(twin)


def _copy_metadata(reader: Any, writer: Any) -> None:
    from gguf import GGUFValueType, LlamaFileType

    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue  # the writer makes these itself
        if field.name == "general.file_type":
            writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)


def _as_q8_0(tensor: Any) -> tuple[Any, Any]:
    from gguf import GGMLQuantizationType as Kind
    from gguf import quants

    if tensor.tensor_type != Kind.Q4_1:
        return tensor.data, tensor.tensor_type
    return quants.quantize(quants.dequantize(tensor.data, Kind.Q4_1), Kind.Q8_0), Kind.Q8_0
