"""`metier tasks`: what there is, what one holds, whether one is sound."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.cli.arguments import JSON, TASK_FOLDER
from optimizer.cli.profile import profile_lines
from optimizer.cli.text import echo

if TYPE_CHECKING:
    from optimizer.prompt.demos import Embed
    from optimizer.task.task import Task

TASK = click.argument("path", metavar="TASK", type=TASK_FOLDER)


@click.group(short_help="List, show and check tasks.")
def tasks() -> None:
    """List, show and check tasks.

    \b
    Examples:
      metier tasks list
      metier tasks check tasks/support_intent
    """


@tasks.command("list")
@click.argument("folder", default="tasks", metavar="[FOLDER]", type=click.Path())
def list_tasks(folder: str) -> None:
    """List the tasks below FOLDER (default: ./tasks).

    \b
    Example:
      metier tasks list
    """
    from optimizer.errors import TaskError
    from optimizer.task.load import load_task_file

    files = sorted(Path(folder).glob("*/task.yaml"))
    if not files:
        raise TaskError(f"{folder}: no task below it", "Write FOLDER/<name>/task.yaml, or name another folder.")
    width = max(len(file.parent.name) for file in files)
    for file in files:
        written, _ = load_task_file(file)
        echo(f"{file.parent.name:{width}}  {written.description or written.instruction}", whole=True)


@tasks.command(short_help="Show what a task holds.")
@TASK
def show(path: str) -> None:
    """Show what the task in the folder TASK holds: fields, splits, labels, an example. None of its code is run.

    \b
    Example:
      metier tasks show tasks/support_intent
    """
    from optimizer.task.load import load_task, load_task_file
    from optimizer.task.metrics.build import metric_name

    task, (written, _) = load_task(path, scored=False), load_task_file(path)
    echo(f"{task.name}: {task.description}\ninstruction: {task.instruction}")
    for side, fields in (("input", task.inputs), ("output", task.outputs)):
        for name, spec in fields.items():
            echo(f"{side} {name} ({spec.type}): {spec.desc}")
    echo(f"metric: {metric_name(written.metric, path)}\n{_sizes(task)}")
    for name, spec in task.outputs.items():
        if spec.choices:
            # With folds an example of the test is one of train or validation, too.
            examples = {example.id: example for example in (*task.train, *task.validation, *task.test)}
            counts = Counter(example.outputs[name] for example in examples.values())
            echo(f"labels of {name}: " + ", ".join(f"{label} {counts[label]}" for label in spec.choices))
    example = task.train[0]
    echo(f"example ({example.origin}): {dict(example.inputs)} → {dict(example.outputs)}")


@tasks.command(short_help="Say what is wrong with a task, and what its examples look like.")
@TASK
@click.option("--deep", is_flag=True, help="Look for labels in doubt, too: it embeds the examples, some minutes.")
@JSON
def check(path: str, deep: bool, as_json: bool) -> None:
    """Read the task in the folder TASK as a run would; say what is wrong with it, and what its examples look like.

    What is doubtful comes first, the worst above: inputs in two splits, inputs with different outputs, near-duplicates,
    personal data, labels that a split lacks. Then sizes, lengths, labels, and what gain each split can show.

    \b
    Examples:
      metier tasks check tasks/support_intent
      metier tasks check tickets --deep --json
    """
    from optimizer.job.profile import check_task

    checked = check_task(path, _embedder if deep else None)
    if as_json:
        echo(json.dumps(checked.to_json(), ensure_ascii=False, indent=2), whole=True)
    else:
        for note in checked.notes:
            echo(f"note: {note}")
        for line in profile_lines(checked):
            echo(line)
    if checked.task is None:
        raise checked.refusal or AssertionError("a task is there, or why it is not")
    if not as_json:
        echo(f"{checked.name} is sound. {_sizes(checked.task)}")


def _embedder() -> Embed:
    from optimizer.models.embed import Embedder

    return Embedder.local(lambda text: echo(text, err=True))


def _sizes(task: Task) -> str:
    if task.folds:
        return f"examples: {len(task.train) + len(task.validation)}, in folds of which {len(task.folds)} are tested"
    sizes = {"train": task.train, "validation": task.validation, "test": task.test}
    return "examples: " + ", ".join(f"{len(split)} {name}" for name, split in sizes.items())
