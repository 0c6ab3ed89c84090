"""`metier tasks`: what there is, what one holds, whether one is sound."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from optimizer.task.task import Task


@click.group()
def tasks() -> None:
    """List, show and check tasks."""


@tasks.command("list")
@click.argument("folder", default="tasks", metavar="[FOLDER]")
def list_tasks(folder: str) -> None:
    """List the tasks below FOLDER (default: ./tasks)."""
    from optimizer.errors import TaskError
    from optimizer.task.load import load_task_file

    files = sorted(Path(folder).glob("*/task.yaml"))
    if not files:
        raise TaskError(f"{folder}: no task below it", "Write FOLDER/<name>/task.yaml, or name another folder.")
    width = max(len(file.parent.name) for file in files)
    for file in files:
        written, _ = load_task_file(file)
        click.echo(f"{file.parent.name:{width}}  {written.description or written.instruction}")


@tasks.command()
@click.argument("path")
def show(path: str) -> None:
    """Show what the task at PATH holds: fields, splits, labels, an example."""
    task = _loaded(path)
    click.echo(f"{task.name}: {task.description}")
    click.echo(f"instruction: {task.instruction}")
    for side, fields in (("input", task.inputs), ("output", task.outputs)):
        for name, spec in fields.items():
            click.echo(f"{side} {name} ({spec.type}): {spec.desc}")
    click.echo(f"metric: {task.metric.name}")
    click.echo(_sizes(task))
    for name, spec in task.outputs.items():
        if spec.choices:
            counts = Counter(e.outputs[name] for split in (task.train, task.validation, task.test) for e in split)
            click.echo(f"labels of {name}: " + ", ".join(f"{label} {counts[label]}" for label in spec.choices))
    example = task.train[0]
    click.echo(f"example ({example.origin}): {dict(example.inputs)} → {dict(example.outputs)}")


@tasks.command()
@click.argument("path")
def check(path: str) -> None:
    """Read the task at PATH as a run would, and say what is wrong with it."""
    task = _loaded(path)
    from optimizer.task.program import build_program

    build_program(task)
    for note in task.notes:
        click.echo(f"note: {note}")
    click.echo(f"{task.name} is sound. {_sizes(task)}")


def _loaded(path: str) -> Task:
    from optimizer.task.load import load_task

    return load_task(path)


def _sizes(task: Task) -> str:
    sizes = {"train": task.train, "validation": task.validation, "test": task.test}
    return "examples: " + ", ".join(f"{len(split)} {name}" for name, split in sizes.items())
