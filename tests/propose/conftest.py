from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from optimizer.propose.base import Subject
from optimizer.task.schema import FieldSpec
from optimizer.types import Example

EXAMPLES = tuple(Example({"message": f"text {n}"}, {"intent": "bill" if n % 2 else "card"}) for n in range(7))
CHOICES = FieldSpec(choices=("bill", "card"), definitions={"bill": "about invoices", "card": "about cards"})
MakeSubject = Callable[..., Subject]


@pytest.fixture
def subject() -> MakeSubject:
    def make(
        outputs: dict[str, FieldSpec] | None = None, description: str = "Sort the mail.", **changes: Any
    ) -> Subject:
        fields = outputs or {"intent": CHOICES}
        given = {"instruction": "Classify.", "outputs": fields, "examples": EXAMPLES, **changes}
        return Subject(description, "predict", **given)

    return make
