from __future__ import annotations

from typing import get_args

import dspy
import pytest

from optimizer.config.schema import FormatName
from optimizer.prompt.formats import adapter
from optimizer.prompt.formats.plain import BlockAdapter, TurnsAdapter
from optimizer.search.acquisition import MARKERS


@pytest.mark.parametrize("name", get_args(FormatName))
def test_every_format_of_the_config_has_an_adapter(name: str) -> None:
    assert isinstance(adapter(name), dspy.Adapter)
    assert name in MARKERS


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("turns", TurnsAdapter),
        ("block", BlockAdapter),
        ("chat", dspy.ChatAdapter),
        ("json", dspy.JSONAdapter),
        ("xml", dspy.XMLAdapter),
    ],
)
def test_each_name_gives_its_own_kind(name: str, kind: type) -> None:
    assert type(adapter(name)) is kind
    assert adapter(name) is not adapter(name)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(KeyError, match="yaml"):
        adapter("yaml")


@pytest.mark.parametrize("name", ["turns", "fields", "block", "chat", "xml"])
def test_an_unreadable_answer_costs_one_call(name: str) -> None:
    """No format asks a second time behind the budget's back."""
    lm = dspy.utils.DummyLM([{"other": "x"}] * 5)
    with dspy.context(lm=lm, adapter=adapter(name)), pytest.raises(dspy.utils.exceptions.AdapterParseError):
        dspy.Predict("question -> answer: int")(question="q")
    assert len(lm.history) == 1
