from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from experiments.outside.repositories import Clones, Repository, constant

from .conftest import make_repository


@pytest.fixture
def made(tmp_path: Path) -> tuple[Repository, Path]:
    commit = make_repository(tmp_path / "one", {"a/text.txt": "naïve".encode("cp1252"), "b.txt": "naïve".encode()})
    return Repository("somebody/one", commit, "MIT"), tmp_path / "one"


def test_files_are_read_at_the_commit_whatever_the_work_tree_has(made: tuple[Repository, Path], tmp_path: Path) -> None:
    repository, folder = made
    (folder / "b.txt").write_text("changed", encoding="utf-8")
    bare = tmp_path / "bare"
    subprocess.run(["git", "clone", "-q", "--bare", str(folder), str(bare)], check=True)
    for clone in (folder, bare):
        clones = Clones([tmp_path, clone])
        assert clones.has(repository)
        assert clones.text(repository, "a/text.txt") == clones.text(repository, "b.txt") == "naïve"


def test_what_is_not_there_is_told_with_where_to_get_it(made: tuple[Repository, Path], tmp_path: Path) -> None:
    repository, folder = made
    with pytest.raises(LookupError, match=r"somebody/one has no readable file c\.txt"):
        Clones([folder]).text(repository, "c.txt")
    with pytest.raises(LookupError, match=r"git clone https://github\.com/somebody/one"):
        Clones([tmp_path / "missing"]).text(repository, "b.txt")


def test_a_constant_is_read_and_no_line_is_run() -> None:
    source = "import nothing_of_that_name\nONE: int = 1\nTWO = {'a': ['b']}\nTHREE = len('abc')\n"
    assert constant(source, "TWO") == {"a": ["b"]}
    with pytest.raises(ValueError):
        constant(source, "THREE")
    with pytest.raises(LookupError, match="nothing is assigned to FOUR"):
        constant(source, "FOUR")
