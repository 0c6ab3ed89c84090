from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path

import pytest

from optimizer.errors import TaskError
from optimizer.task.load import load_task
from optimizer.task.sources import sources_of
from optimizer.task.task import Task

from .conftest import WriteTask, lines, records

CODE = {
    "metric.py": "import helper\ndef score(example, answer): return 1.0\n",
    "helper.py": "",
    "program.py": "def build(task): ...\n",
}


def test_every_file_of_a_task_is_named_with_its_digest(write_task: WriteTask) -> None:
    files = {"in/train.jsonl": lines(records(14)), "in/test.jsonl": lines(records(6, 14)), "seed.txt": "Sort it."}
    folder = write_task(
        {**files, **CODE},
        data={"train": "in/train.jsonl", "test": "in/test.jsonl"},
        instruction={"file": "seed.txt"},
        metric="python: metric.py:score",
        program="program.py:build",
    )
    found = sources_of(load_task(folder))
    assert [(one["file"], one["use"]) for one in found["files"]] == [
        ("task.yaml", "task"),
        ("seed.txt", "instruction"),
        ("in/train.jsonl", "data: train"),
        ("in/test.jsonl", "data: test"),
        ("metric.py", "metric"),
        ("helper.py", "metric"),
        ("program.py", "program"),
    ]
    for one in found["files"]:
        content = (folder / one["file"]).read_bytes()
        assert (one["sha256"], one["size"]) == (sha256(content).hexdigest(), len(content))
    assert (found["folder"], found["hub"], found["licence"]) == (str(folder.resolve()), None, None)


@pytest.mark.parametrize(
    ("readme", "licence"),
    [
        ("# Data\n\nLicense: CC-BY-4.0\n", "CC-BY-4.0"),
        ("---\nlicense: cc-by-sa-4.0\n---\n# Data\n", "cc-by-sa-4.0"),
        ("# Data\n\n## Licence\n\nCC0, by hand.\n\nMore.\n", "CC0, by hand."),
        ("**License**: MIT\n", "MIT"),
        ("**License:** MIT\n", "MIT"),
        ("---\nlicense:\n- cc-by-4.0\n---\n", "cc-by-4.0"),
        ("License:\n\n# Data\n", None),
        ("License: [![MIT](https://badge)](LICENSE)\n\n## License\n\n![MIT](https://badge)\n", None),
        ("License: ![MIT](https://badge)\n\n## License\n\nMIT\n", "MIT"),
        ("\n" * 60_000 + "Free.\n", None),
        ("\n" * 99_980 + "License: MIT\n", "MIT"),
        ("# License" + "\n" * 100_000 + "MIT\n", None),
        ("# License\n" * 10_000 + "\n" * 100_000, None),
        ("# Data\n\nAsk the driver for a licence, and the licence number.\n", None),
        ("# Licence\n", None),
        ("", None),
    ],
)
def test_a_readme_names_the_licence(readme: str, licence: str | None, write_task: WriteTask) -> None:
    task = load_task(write_task({"README.md": readme}))
    begun = time.process_time()
    assert sources_of(task)["licence"] == licence
    assert time.process_time() - begun < 1


def test_what_the_task_says_of_its_licence_goes_before_a_readme(write_task: WriteTask) -> None:
    folder = write_task({"README.md": "License: MIT\n"}, licence="CC0-1.0")
    assert sources_of(load_task(folder))["licence"] == "CC0-1.0"


def test_a_task_in_memory_has_no_file(tmp_path: Path) -> None:
    rows = [{"q": f"question {n}", "a": str(n % 2)} for n in range(20)]
    task = Task(examples=rows, inputs=["q"], outputs=["a"], instruction="Answer.")
    assert sources_of(task) == {"folder": None, "files": [], "hub": None, "licence": None}


def test_a_file_that_went_away_is_told(write_task: WriteTask) -> None:
    folder = write_task()
    task = load_task(folder)
    (folder / "examples.jsonl").unlink()
    with pytest.raises(TaskError, match=r"a file of the task cannot be read .*examples\.jsonl"):
        sources_of(task)
