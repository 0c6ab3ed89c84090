from __future__ import annotations

import os
from pathlib import Path

from optimizer.system.contained.account import DISK_MB
from optimizer.system.contained.folder import MOST_ENTRIES, is_too_large, remove


def test_a_folder_deeper_than_a_path_may_be_is_removed(tmp_path: Path) -> None:
    top, here = tmp_path / "top", os.getcwd()
    top.mkdir()
    try:
        os.chdir(top)
        for number in range(30):  # of names as long as they may be: 7,500 characters
            Path("file").write_text("x")
            os.mkdir("other")
            os.mkdir("name" * 62 + f"{number:02}")
            os.symlink(tmp_path, "link")
            os.chdir("name" * 62 + f"{number:02}")
    finally:
        os.chdir(here)
    (tmp_path / "kept").write_text("x")
    assert is_too_large(top)
    remove(top)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_an_empty_folder_is_removed_and_not_too_large(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    assert not is_too_large(top)
    remove(top)
    assert not top.exists()


def test_entries_and_bytes_are_counted_and_links_are_not_followed(tmp_path: Path) -> None:
    many, large, top = tmp_path / "many", tmp_path / "large", tmp_path / "top"
    for folder in (many, large, top):
        folder.mkdir()
    for number in range(MOST_ENTRIES):
        (many / str(number)).touch()
    assert not is_too_large(many)
    (many / "one more").touch()
    assert is_too_large(many)
    with (large / "file").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, (DISK_MB + 1) << 20)
    assert is_too_large(large)
    (top / "link").symlink_to(many)
    assert not is_too_large(top)
    assert not is_too_large(tmp_path / "gone")
