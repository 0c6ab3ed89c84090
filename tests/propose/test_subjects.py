from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from optimizer.propose.subjects import REWARDS, in_order, reward_of
from optimizer.task.metrics.build import BUILTINS, STATISTICS, build_metric
from optimizer.task.schema import FieldSpec
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


def test_of_every_builtin_metric_it_is_told_what_it_rewards() -> None:
    assert REWARDS.keys() == {*BUILTINS, *STATISTICS, "semantic_similarity"} - {"f_beta"}, (
        "which says which label counts"
    )


@pytest.mark.parametrize(
    ("spec", "types", "reward"),
    [
        ("exact_match", {"y": "str"}, "an answer counts when it equals the expected one"),
        (
            {"name": "regex", "pattern": "[0-9]+"},
            {"y": "str"},
            "an answer counts when it matches the pattern [0-9]+ as a whole",
        ),
        ("regex", {"y": "str"}, "an answer counts when it matches the expected pattern"),
        (
            {"name": "numeric", "units": {"km": 1000, "m": 1}},
            {"y": "str"},
            "an answer counts when its last number is the expected one, with its unit, one of km, m",
        ),
        (
            {"name": "json_fields", "schema": {"required": ["é"]}},
            {"y": "json"},
            'an answer is JSON; every right field counts, and it must follow this JSON Schema: {"required": ["é"]}',
        ),
        (
            {
                "name": "composite",
                "parts": {"chrf": {"output": "y"}, "label": {"metric": "exact_match", "output": "z"}},
                "constraints": {"output": "y", "longest": {"words": 60}, "forbidden": ["TODO"]},
            },
            {"y": "str", "z": "str"},
            "y: sequences of letters that an answer shares with the expected one count; "
            "z: an answer counts when it equals the expected one; "
            "y must be at most 60 words, without 'TODO', or nothing counts",
        ),
        (
            {
                "name": "composite",
                "parts": {"token_f1": {}},
                "constraints": {"valid_json": True, "shortest": {"characters": 2}},
            },
            {"y": "str"},
            f"{REWARDS['token_f1']}; must be at least 2 characters, valid JSON, or nothing counts",
        ),
    ],
)
def test_what_a_metric_asks_for_is_told(spec: Any, types: dict[str, Any], reward: str) -> None:
    outputs = {name: FieldSpec(type=kind) for name, kind in types.items()}
    assert reward_of(build_metric(spec, outputs, Path())) == reward


def test_of_a_users_own_metric_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "metric.py").write_text("def score(example, answer): return 0.5\n")
    assert reward_of(build_metric("metric.py:score", {"y": FieldSpec()}, tmp_path)) == ""
