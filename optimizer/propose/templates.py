"""Instructions that need no model: the seed, with what the task itself says about its answers."""

from __future__ import annotations

from optimizer.propose.base import Proposal, Subject
from optimizer.task.schema import FieldSpec

ORIGIN = "templates"


class Templates:
    """Adds label lists, label definitions, a role, steps and output constraints to the seed."""

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        """Return at most `count` instructions built from the task's own words."""
        seed = subject.instruction.strip()
        labels = "\n".join(filter(None, (_labels(name, spec) for name, spec in subject.outputs.items())))
        meanings = "\n".join(filter(None, (_meanings(spec) for spec in subject.outputs.values())))
        shape = " ".join(filter(None, (_shape(name, spec) for name, spec in subject.outputs.items())))
        role = f"You are an expert. Your task: {subject.description or seed}"
        written = [
            _joined(seed, labels),
            _joined(seed, meanings),
            _joined(seed, shape),
            _joined(role, seed, shape),
            _joined(role, labels, shape),
            _joined(seed, "Read the whole input first. Then decide what it is mainly about. Then answer.", labels),
            _joined(seed, subject.description, meanings, shape),
        ]
        made = [text for text in dict.fromkeys(written) if text != seed]
        return [Proposal(text, ORIGIN, subject.lineage[:1]) for text in made][:count]


def _labels(name: str, spec: FieldSpec) -> str:
    return f"Answer with one of: {', '.join(spec.choices)}." if spec.choices else ""


def _meanings(spec: FieldSpec) -> str:
    return "\n".join(f"- {label}: {meaning}" for label, meaning in spec.definitions.items())


def _shape(name: str, spec: FieldSpec) -> str:
    if spec.choices:
        return "Answer with the label only."
    wanted = {
        "int": "a whole number only",
        "float": "a number only",
        "bool": "yes or no only",
        "list[str]": "the items only, separated by commas",
        "json": "one JSON value only",
        "str": f"the {name.replace('_', ' ')} only, without any explanation",
    }
    return f"Answer with {wanted[spec.type]}."


def _joined(*parts: str) -> str:
    return "\n".join(part for part in parts if part)
