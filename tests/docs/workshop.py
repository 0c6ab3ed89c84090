"""A folder in which a page's blocks are run: the bundled tasks and configs, tickets.csv, and a provider that is fake.

What differs from a reader's machine, and nothing else does:

- OPENAI_API_BASE points to a fake provider, which knows the right answers and gives them to prompts that name the
  labels or show examples; local/… models are named openai/fake.
- Embeddings are bags of words (`support.jobs.lighten`).
- MLflow is off, but for the page about it.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import yaml
from click.testing import CliRunner
from support.jobs import lighten
from support.judges import asked_of, is_judged, shown

from docs.blocks import ROOT, Block
from optimizer.cli.main import cli
from optimizer.config.schema import RunConfig, Tracking
from optimizer.sweep.schema import SweepConfig
from optimizer.task.load import load_task_file
from optimizer.task.metrics.build import build_metric
from optimizer.task.schema import FieldSpec
from optimizer.testing.fake_server import FakeServer, Messages, text_of

HARMLESS = {"mkdir", "cp", "ls"}
TICKETS = ROOT / "docs" / "pages" / "tutorials" / "tickets.csv"


class Answer(NamedTuple):
    """The right label of an input, and the first label of its task."""

    right: str
    first: str


class Workshop:
    """Runs blocks, one after the other; `folder` is where a reader would stand."""

    def __init__(self, folder: Path, provider: FakeServer, patch: pytest.MonkeyPatch, mlflow: bool) -> None:
        self.folder, self.names = folder, dict[str, Any](__name__="__main__")
        (folder / "configs").mkdir()
        for path in (ROOT / "configs").glob("*.yaml"):
            (folder / "configs" / path.name).write_text(faked(path.read_text(encoding="utf-8")), encoding="utf-8")
        (folder / "tasks").symlink_to(ROOT / "tasks")
        (folder / "tickets.csv").write_bytes(TICKETS.read_bytes())
        patch.chdir(folder)
        patch.setenv("OPENAI_API_KEY", "not-a-key")
        patch.setenv("OPENAI_API_BASE", provider.api_base)
        patch.setenv("METIER_CACHE", str(folder / "cache"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        lighten(patch.setattr)
        if not mlflow:
            patch.setattr(RunConfig.model_fields["tracking"], "default", Tracking(mlflow=None))
            RunConfig.model_rebuild(force=True)

    def run(self, block: Block) -> None:
        """Run one block as its marks say."""
        getattr(self, f"_{block.language}")(block)

    def _text(self, block: Block) -> None:
        """Output is not run; a text with a file's name is that file."""
        self._written(block)

    def _python(self, block: Block) -> None:
        if self._written(block):
            return
        # Blank lines before it, so that a traceback names the page's line.
        code = compile("\n" * block.line + faked(block.text), str(block.page), "exec")
        before = set(self.names)
        exec(code, self.names)
        for name in set(self.names) - before:
            if name.startswith("Test"):
                for test in [method for method in dir(self.names[name]) if method.startswith("test_")]:
                    getattr(self.names[name](), test)()

    def _yaml(self, block: Block) -> None:
        if "task" in block.marks:
            load_task_file(self._written(block) or self._write("block.yaml", block.text))
            return
        self._written(block)
        data = yaml.safe_load(block.text)
        if "metric" in block.marks:
            outputs = {name: FieldSpec.model_validate(spec) for name, spec in data["outputs"].items()}
            build_metric(data["metric"], outputs, self.folder)
        elif "sweep" in block.marks:
            SweepConfig.model_validate(data)
        elif "config" in block.marks:
            RunConfig.model_validate(data)
        else:
            RunConfig.model_validate({"task": "tickets", block.marks["section"]: data})

    def _console(self, block: Block) -> None:
        for line in block.commands:
            words = shlex.split(faked(line) if "models" not in line.split()[:2] else line, comments=True)
            if words[0] == "metier":
                done = CliRunner().invoke(cli, words[1:], catch_exceptions=False)
                code, output = done.exit_code, done.output
            else:
                assert words[0] in HARMLESS, f"{block.place}: run `{line}` in the workshop, or say why it is skipped"
                ran = subprocess.run(words, capture_output=True, text=True, check=False)
                code, output = ran.returncode, ran.stdout + ran.stderr
            assert code == int(block.marks.get("exit", 0)), f"{block.place}: {line}\n{output}"

    def _written(self, block: Block) -> Path | None:
        """Write a block with a file's name there."""
        name = block.marks.get("file")
        return None if name is None else self._write(name, faked(block.text))

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


def faked(text: str) -> str:
    """Return a text in which local models are the fake provider's."""
    return re.sub(r"\blocal/[\w.-]+", "openai/fake", text)


def parse(line: str) -> None:
    """Raise click.UsageError where a command of ours has no such subcommand, argument or option."""
    words = shlex.split(line, comments=True)
    command: click.Command = cli
    try:
        context = cli.make_context("metier", words[1:])
    except click.exceptions.Exit:
        return  # --version, --help
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        command, context = found, found.make_context(name, rest, parent=context)


def answers() -> dict[str, Answer]:
    """Return the right answer to each input of tickets.csv and of the bundled tasks with one input."""
    with TICKETS.open(encoding="utf-8", newline="") as file:
        tables = [[(row["message"], row["team"]) for row in csv.DictReader(file)]]
    for name in ("message_kind", "support_intent", "tickets_fr", "review_tone"):
        lines = (ROOT / "tasks" / name / "examples.jsonl").read_text(encoding="utf-8").splitlines()
        tables.append([tuple(json.loads(line).values()) for line in lines])
    return {message: Answer(label, min(other for _, other in table)) for table in tables for message, label in table}


def provider(messages: Messages, known: dict[str, Answer]) -> str:
    """Answer rightly where the prompt shows examples or names the labels, else with the task's first label.

    As a judge it gives the best grade to the expected answer, and the worst to any other.
    """
    if is_judged(messages):
        return graded(messages)
    text = "\n".join(text_of(message) for message in messages)
    if "[[ ## " in text:
        sums = re.findall(r"(\d+) \+ \d+\?", text)
        said = str(2 * int(sums[-1])) if sums and len(messages) > 2 else "7"
        fields = re.findall(r"`\[\[ ## (\w+) ## \]\]`", text_of(messages[-1])) or ["answer"]
        parts = [f"[[ ## {field} ## ]]\n{said}" for field in fields if field != "completed"]
        return "\n\n".join([*parts, "[[ ## completed ## ]]"])
    asked = text_of(messages[-1])
    words = set(asked.split())

    def likeness(message: str) -> tuple[int, bool, int, int]:
        """Compare by where an input stands; where none does, by the labels that are shown and the words shared."""
        return asked.rfind(message), known[message].right in text, len(words & set(message.split())), len(message)

    found = max(known, key=likeness)
    labels = {answer.right for answer in known.values() if answer.right in text}
    return known[found].right if len(labels) > 1 else known[found].first


def graded(messages: Messages) -> str:
    """Return a judge's reply: its scales go from 1, or no, to 5, or wholly."""
    seen = shown(messages)
    best = seen["answer"] == seen["expected"]
    lines = re.findall(r"^- ([\w ]+): .* Grade: (a whole number|one of)", asked_of(messages), re.MULTILINE)
    grades = {"a whole number": ("1", "5"), "one of": ("no", "wholly")}
    return "\n".join(f"{name} reason: It is so.\n{name} grade: {grades[kind][best]}" for name, kind in lines)


def environment() -> dict[str, str]:
    """Return the environment of a process that imports this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}
