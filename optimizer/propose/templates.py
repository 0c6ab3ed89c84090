"""Instructions that need no model: the seed, with what the task itself says about its answers."""

from __future__ import annotations

from collections.abc import Mapping

from optimizer.prompt.values import label_of
from optimizer.propose.base import Proposal, Subject
from optimizer.task.schema import FieldSpec

ORIGIN = "templates"
# What a value of each type looks like.
SHAPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "yes or no",
    "list[str]": "items separated by commas",
    "json": "one JSON value",
}


class Templates:
    """Adds label lists, label definitions, a role, steps and output constraints to the seed."""

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions built from the task's own words."""
        seed, outputs = subject.instruction.strip(), subject.outputs
        labels, meanings, shape = labels_of(outputs), _meanings(outputs), _shape(outputs)
        role = f"You are an expert. Your task: {subject.description or seed}"
        written = [
            joined(seed, labels),
            joined(seed, meanings),
            joined(seed, shape),
            joined(role, seed, shape),
            joined(role, labels, shape),
            joined(seed, "Read the whole input first. Then decide what it is mainly about. Then answer.", labels),
            joined(seed, subject.description, meanings, shape),
        ]
        made = [text for text in dict.fromkeys(written) if text != seed]
        return [Proposal(text, ORIGIN, subject.lineage[:1]) for text in made][:count]


def labels_of(outputs: Mapping[str, FieldSpec]) -> str:
    """Return the sentences that name the labels of all fields which have some; "" where none has."""
    several = len(outputs) > 1
    return "\n".join(
        f"{f'The {_words(name)} is' if several else 'Answer with'} one of: {', '.join(spec.choices)}."
        for name, spec in outputs.items()
        if spec.choices
    )


def joined(*parts: str) -> str:
    """Return the parts that are not empty, each on lines of its own."""
    return "\n".join(part for part in parts if part)


def _meanings(outputs: Mapping[str, FieldSpec]) -> str:
    """Return a line for each label's meaning; where there are several fields, under the name of its field."""
    lines: list[str] = []
    for name, spec in outputs.items():
        if spec.definitions and len(outputs) > 1:
            lines.append(f"{label_of(name)}:")
        lines += [f"- {label}: {meaning}" for label, meaning in spec.definitions.items()]
    return "\n".join(lines)


def _shape(outputs: Mapping[str, FieldSpec]) -> str:
    """Return one sentence that tells how the whole answer must look."""
    if len(outputs) > 1:
        fields = "; ".join(_part(name, spec) for name, spec in outputs.items())
        return f"Answer with these fields only, without any explanation: {fields}."
    return "".join(_alone(name, spec) for name, spec in outputs.items())


def _part(name: str, spec: FieldSpec) -> str:
    """Return what one of several fields must look like."""
    shape = "one of its labels" if spec.choices else SHAPES.get(spec.type)
    return f"the {_words(name)}" + (f" as {shape}" if shape else "")


def _alone(name: str, spec: FieldSpec) -> str:
    """Return the sentence for the only field."""
    if spec.choices:
        return "Answer with the label only."
    if spec.type == "list[str]":
        return "Answer with the items only, separated by commas."
    if spec.type in SHAPES:
        return f"Answer with {SHAPES[spec.type]} only."
    return f"Answer with the {_words(name)} only, without any explanation."


def _words(name: str) -> str:
    return name.replace("_", " ")
