from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.errors import TaskError
from optimizer.task.instruction_list import read_instructions


def written(folder: Path, text: str) -> tuple[str, ...]:
    (folder / "instructions.yaml").write_text(text, encoding="utf-8")
    return read_instructions(folder, "instructions.yaml", "search.options: file")


def test_each_instruction_is_read_once_without_the_space_around_it(tmp_path: Path) -> None:
    text = "instructions:\n- Sort it.\n- |\n  Sort it\n  well.\n- ' Sort it. '\n"
    assert written(tmp_path, text) == ("Sort it.", "Sort it\nwell.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("instruction: [Sort it.]", "did you mean 'instructions'"),
        ("instructions: []", "instructions"),
        ("instructions: ['  ']", "instructions.0"),
        ("instructions: Sort it.", "instructions"),
        ("- Sort it.", "must be a mapping"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TaskError) as refused:
        written(tmp_path, text)
    assert message in f"{refused.value.what} {refused.value.remedy}"


def test_a_file_that_is_not_there_is_told_with_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "instructions.yaml").touch()
    with pytest.raises(TaskError) as refused:
        read_instructions(tmp_path, "instuctions.yaml", "search.options: file")
    assert "search.options: file: instuctions.yaml" in refused.value.what
    assert "did you mean 'instructions.yaml'" in f"{refused.value.what} {refused.value.remedy}"
