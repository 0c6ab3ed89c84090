from __future__ import annotations

from typing import Any

import pytest

from optimizer.propose.subjects import in_order
from optimizer.types import Example


@pytest.mark.parametrize(
    ("listed", "ordered"),
    [
        ("hippo, bat, zebra", "zebra, hippo, bat"),
        (["hippo", "bat"], ["hippo", "bat"]),
        (["bat", "hippo"], ["hippo", "bat"]),
        ("Bat, Zebra", "Zebra, Bat"),
        ("bat, unicorn, zebra", "bat, unicorn, zebra"),
        ("zebra", "zebra"),
        ("", ""),
    ],
)
def test_listed_outputs_stand_in_the_order_of_the_input(listed: Any, ordered: Any) -> None:
    example = Example({"words": "yellow, zebra, hat, hippo, bat"}, {"animals": listed}, "train.jsonl:1")
    assert in_order(example).outputs == {"animals": ordered}
    assert (in_order(example).inputs, in_order(example).origin) == (example.inputs, example.origin)
