from __future__ import annotations

import pytest

from optimizer.errors import TaskError
from optimizer.task.instruction import check_placeholders
from optimizer.task.load import load_task, load_task_file

from .conftest import WriteTask


def test_an_instruction_may_be_a_file_of_the_tasks_folder(write_task: WriteTask) -> None:
    folder = write_task(
        {"prompts/seed.txt": "\ufeffClassify café.\r\nShortly.\n\n"}, instruction={"file": "prompts/seed.txt"}
    )
    assert load_task(folder).instruction == "Classify café.\nShortly."
    assert load_task_file(folder)[0].instruction == "Classify café.\nShortly."


@pytest.mark.parametrize(
    ("files", "instruction", "parts"),
    [
        ({"prompt.txt": "x"}, {"file": "promt.txt"}, ["instruction: promt.txt: no such file", "mean 'prompt.txt'?"]),
        ({"prompt.txt": " \n"}, {"file": "prompt.txt"}, ["prompt.txt: is empty", "one sentence"]),
        ({"prompt.txt": b"caf\xe9"}, {"file": "prompt.txt"}, ["prompt.txt:1: not valid UTF-8", "iconv"]),
        ({"folder/prompt.txt": "x"}, {"file": "folder"}, ["is a folder, not a file"]),
        ({}, {"fiel": "prompt.txt"}, ["task.yaml: instruction: unknown key 'fiel'", "did you mean 'file'?"]),
        ({}, {"file": 3}, ["task.yaml: instruction: 'file'", "got 3"]),
        ({}, ["a", "b"], ["'instruction'", "valid string"]),
        (
            {},
            "Classify {{ message }}.",
            ["instruction: the placeholder {{ message }}", "Write the instruction without it"],
        ),
        ({"prompt.txt": "Read {message}"}, {"file": "prompt.txt"}, ["the placeholder {message} cannot be filled"]),
    ],
)
def test_a_wrong_instruction_gives_one_clear_error(
    write_task: WriteTask, files: dict[str, str | bytes], instruction: object, parts: list[str]
) -> None:
    with pytest.raises(TaskError) as caught:
        load_task(write_task(files, instruction=instruction))
    assert caught.value.remedy
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "text", ["{{message}}", "{{ message | trim }}", "{{{message}}}", "{{- message -}}", "${message}", "a {message} b"]
)
def test_a_placeholder_of_an_input_is_refused(text: str) -> None:
    with pytest.raises(TaskError, match="the input 'message' is sent after the instruction"):
        check_placeholders(text, ["other", "message"], "task.yaml")


@pytest.mark.parametrize(
    "text", ["the message", '{"message": "…"}', "{message: text}", "{label}", "{}", "{{}}", "{{1}}"]
)
def test_what_is_no_placeholder_is_left_alone(text: str) -> None:
    assert check_placeholders(text, ["message"], "task.yaml") == ()


def test_an_unknown_word_in_double_braces_is_noted_once(write_task: WriteTask) -> None:
    task = load_task(write_task(instruction="Answer {{tone}}, {{tone}} and {label}."))
    assert task.notes == ("instruction: {{tone}} names no input and is sent as it stands",)
    assert task.instruction == "Answer {{tone}}, {{tone}} and {label}."
