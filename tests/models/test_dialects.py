"""What is no answer in each protocol: anything whose parts are not of the right type."""

from __future__ import annotations

from typing import Any

import pytest

from optimizer.models.dialects import KEYS, dialect

ANSWERS: dict[str, dict[str, Any]] = {
    "openai": {"choices": [{"message": {"role": "assistant", "content": "yes"}}], "usage": {"prompt_tokens": 1}},
    "anthropic": {"content": [{"type": "text", "text": "yes"}], "usage": {"input_tokens": 1}},
}


def flaw(provider: str, data: dict[str, Any]) -> str:
    return dialect(provider, "http://127.0.0.1/v1", "key").flaw(data)


@pytest.mark.parametrize("provider", list(KEYS))
def test_an_answer_has_no_flaw(provider: str) -> None:
    assert flaw(provider, ANSWERS[provider]) == ""
    assert flaw(provider, {**ANSWERS[provider], "usage": None}) == ""


@pytest.mark.parametrize(
    ("provider", "change", "what"),
    [
        ("openai", {"choices": None}, "choices"),
        ("openai", {"choices": []}, "choices"),
        ("openai", {"choices": ["yes"]}, "choices"),
        ("openai", {"choices": [{"text": "yes"}]}, "message"),
        ("openai", {"choices": [{"message": {"content": 42}}]}, "int"),
        ("openai", {"usage": "many"}, "usage"),
        ("anthropic", {"content": None}, "NoneType"),
        ("anthropic", {"content": "yes"}, "str"),
        ("anthropic", {"content": ["yes"]}, "str"),
        ("anthropic", {"content": [{"type": "text", "text": 42}]}, "int"),
        ("anthropic", {"usage": "many"}, "usage"),
    ],
)
def test_a_flaw_is_named(provider: str, change: dict[str, Any], what: str) -> None:
    assert what in flaw(provider, {**ANSWERS[provider], **change})


def test_blocks_that_are_no_text_are_left_to_lm15() -> None:
    thought = {"type": "thinking", "thinking": "hm"}
    assert flaw("anthropic", {"content": [thought, *ANSWERS["anthropic"]["content"]]}) == ""


@pytest.mark.parametrize(
    ("provider", "base", "path"),
    [
        ("openai", "http://here/v1", "/v1"),
        ("openai", "http://here", ""),
        ("anthropic", "http://here/v1", "/v1"),
        ("anthropic", "http://here", "/v1"),
        ("anthropic", "http://here/", "/v1"),
        ("anthropic", "http://here/proxy", "/proxy"),
    ],
)
def test_v1_may_be_left_out_of_anthropics_address(provider: str, base: str, path: str) -> None:
    assert dialect(provider, base, "key").lm.base_url == f"http://here{path}"
