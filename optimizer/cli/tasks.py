"""`metier tasks`: what there is, what one holds, whether one is sound."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.cli.arguments import TASK_FOLDER
from optimizer.cli.text import echo

if TYPE_CHECKING:
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
            counts = Counter(e.outputs[name] for split in (task.train, task.validation, task.test) for e in split)
            echo(f"labels of {name}: " + ", ".join(f"{label} {counts[label]}" for label in spec.choices))
    example = task.train[0]
    echo(f"example ({example.origin}): {dict(example.inputs)} → {dict(example.outputs)}")


@tasks.command(short_help="Say what is wrong with a task.")
@TASK
def check(path: str) -> None:
    """Read the task in the folder TASK as a run would, and say what is wrong with it.

    \b
    Example:
      metier tasks check tasks/support_intent
    """
    from optimizer.job.judge import judge_notes
    from optimizer.task.load import load_task

    task = load_task(path)
    from optimizer.task.program import build_program

    build_program(task)
    for note in (*task.notes, *judge_notes(task)):
        echo(f"note: {note}")
    echo(f"{task.name} is sound. {_sizes(task)}")


def _sizes(task: Task) -> str:
    sizes = {"train": task.train, "validation": task.validation, "test": task.test}
    return "examples: " + ", ".join(f"{len(split)} {name}" for name, split in sizes.items())
