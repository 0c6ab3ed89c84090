from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from optimizer.system.user_code import code_sha256, files_of, module_of


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files and return the first one's path."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / next(iter(files))


def test_a_file_that_imports_nothing_beside_it_has_its_own_digest(tmp_path: Path) -> None:
    path = write(tmp_path, {"own.py": "import json, os.path\nfrom dspy import Predict\n", "helper.py": ""})
    assert files_of(path) == [path]
    assert code_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "statement",
    [
        "import helper",
        "import helper as h",
        "from helper import value",
        "def go():\n    from helper import value",
        "try:\n    import helper\nexcept ImportError:\n    pass",
        "import other",
        "import parts.inner",
        "from parts import inner",
        "from parts.inner import value",
        "from parts.again import value",
        "from parts import *",
        "import loose.deep",
    ],
)
def test_every_way_to_import_what_lies_beside_is_seen(tmp_path: Path, statement: str) -> None:
    files = {
        "own.py": statement,
        "helper.py": "value = 1",
        "other.py": "import helper",
        "parts/__init__.py": "__all__ = ['inner']",
        "parts/inner.py": "value = 1\nimport helper",
        "parts/again.py": "from . import inner\nfrom .inner import value",
        "loose/deep.py": "import helper",
        "unrelated.py": "",
    }
    path = write(tmp_path, files)
    found = [str(file.relative_to(tmp_path)) for file in files_of(path)]
    assert found[0] == "own.py"
    assert "helper.py" in found
    assert "unrelated.py" not in found
    before = code_sha256(path)
    (tmp_path / "unrelated.py").write_text("value = 3")
    assert code_sha256(path) == before
    (tmp_path / "helper.py").write_text("value = 2")
    assert code_sha256(path) != before
    assert module_of(path) is not None


def test_what_is_no_python_leads_nowhere(tmp_path: Path) -> None:
    path = write(tmp_path, {"own.py": "import helper", "helper.py": "def (:", "loop.py": "import loop"})
    assert [file.name for file in files_of(path)] == ["own.py", "helper.py"]
    assert files_of(tmp_path / "loop.py") == [tmp_path / "loop.py"]
    (tmp_path / "own.py").write_bytes(b"\0")
    assert files_of(path) == [path]


def test_two_folders_have_two_helpers_also_for_imports_inside_functions(tmp_path: Path) -> None:
    lazy = (
        "import helper\ndef early(): return helper.NAME\ndef late():\n    import inner\n    return inner.helper.NAME\n"
    )
    modules = [
        module_of(
            write(tmp_path / name, {"own.py": lazy, "helper.py": f"NAME = {name!r}", "inner.py": "import helper"})
        )
        for name in ("one", "two")
    ]
    assert [module.early() for module in modules] == ["one", "two"]
    assert [module.late() for module in modules] == ["one", "two"]
    assert not {"helper", "inner"} & set(sys.modules)
    assert not list(tmp_path.rglob("__pycache__"))


def test_two_files_of_a_folder_share_what_they_import(tmp_path: Path) -> None:
    first = write(tmp_path, {"own.py": "import helper", "more.py": "import helper", "helper.py": "class Kind: ..."})
    one, other = module_of(first), module_of(tmp_path / "more.py")
    assert one.helper.Kind is other.helper.Kind


def test_a_changed_helper_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path, {"own.py": "from helper import VALUE", "helper.py": "from deep import VALUE", "deep.py": ""})
    for value in (1, 2):
        (tmp_path / "deep.py").write_text(f"VALUE = {value}")
        assert value == module_of(path).VALUE


def test_a_folder_of_data_does_not_hide_a_library(tmp_path: Path) -> None:
    path = write(tmp_path, {"own.py": "import sqlite3\nVALUE = sqlite3.Row", "sqlite3/data.csv": "a,b"})
    import sqlite3

    assert module_of(path).VALUE is sqlite3.Row


def test_a_file_hides_a_library_as_for_a_script(tmp_path: Path) -> None:
    path = write(tmp_path, {"own.py": "import colorsys\nVALUE = colorsys.VALUE", "colorsys.py": "VALUE = 7"})
    assert module_of(path).VALUE == 7
