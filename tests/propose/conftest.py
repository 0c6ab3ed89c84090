from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optimizer.propose.base import Subject
from optimizer.task.metrics.build import build_metric
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task
from optimizer.types import Example

EXAMPLES = tuple(Example({"message": f"text {n}"}, {"intent": "bill" if n % 2 else "card"}) for n in range(7))
CHOICES = FieldSpec(choices=("bill", "card"), definitions={"bill": "about invoices", "card": "about cards"})
MakeSubject = Callable[..., Subject]


@pytest.fixture
def subject(tmp_path: Path) -> MakeSubject:
    def make(
        outputs: dict[str, FieldSpec] | None = None, description: str = "Sort the mail.", **changes: Any
    ) -> Subject:
        fields = outputs or {"intent": CHOICES}
        task = Task(
            name="tiny",
            description=description,
            instruction="Classify.",
            inputs={"message": FieldSpec()},
            outputs=fields,
            train=EXAMPLES,
            validation=(),
            test=(),
            metric=build_metric("exact_match", fields, tmp_path),
            folder=tmp_path,
        )
        given = {"instruction": "Classify.", "outputs": fields, "examples": EXAMPLES, **changes}
        return Subject(task, "predict", **given)

    return make
