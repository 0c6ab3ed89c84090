"""Masks: there and back is the identity, nothing that is recognized leaves, and literals are not confused."""

from __future__ import annotations

import asyncio
import os

import dspy
import pytest
from dspy.lm15 import DataPart, FunctionTool, ImagePart, Message, Request, Response, TextPart, ToolCallPart, Usage
from hypothesis import given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from optimizer.config.schema import Privacy
from optimizer.models.masks import Masks, masked_model, masks_for
from optimizer.models.personal import Recognizers
from optimizer.models.providers import Endpoint
from optimizer.prompt.formats import adapter
from optimizer.system.dspy_private import message_to_dict, request_to_dict
from optimizer.testing.fake_server import FakeServer, Messages, text_of

SEED = int(os.environ.get("METIER_TEST_SEED", "0"))
PRIVACY = Privacy(redact=("email", "phone", "iban", "credit_card", "ip"))
MASKS, FIND = Masks(PRIVACY), Recognizers(PRIVACY)
DATA = (
    "ann.lee@example.org",
    "ANN.LEE@example.org",
    "+49 30 901820",
    "(415) 555-2671",
    "DE89 3704 0044 0532 0130 00",
    "4111 1111 1111 1111",
    "192.0.2.7",
    "2001:db8::7",
)
LITERALS = ("<EMAIL_1>", "<email_1>", "<PHONE_2>", "<CARD_01>", "<IP_1", "EMAIL_1>", "<EMAIL_<EMAIL_1>>", "<IBAN_1>")
PIECES = st.one_of(
    st.sampled_from(DATA), st.sampled_from(LITERALS), st.sampled_from([" ", ", ", "\n", "\\n", "<", ">", "@", "-", ":"])
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=12), st.from_regex(r"[0-9 +.@:-]{1,20}", fullmatch=True))).map(
    "".join
)


@seed(SEED)
@hypothesis_settings(max_examples=200)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_to_mask_and_restore_is_the_identity_and_nothing_recognized_is_left(texts: list[str]) -> None:
    masked, hidden = MASKS.hide_in({"texts": texts})
    assert [hidden.restored(text) for text in masked["texts"]] == texts
    assert [FIND(text) for text in masked["texts"]] == [[]] * len(texts)
    assert sum(hidden.counts.values()) >= len(hidden.texts)
    assert not any(name in text.upper() for name in hidden.texts for text in texts)


@seed(SEED)
@hypothesis_settings(max_examples=100)
@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    masked, hidden = MASKS.hide_in({"text": text})
    assert hidden.restored(masked["text"]) == text


def request(*texts: str, system: str | None = None) -> Request:
    return Request("fake", tuple(Message.user(text) for text in texts), system=system)


def test_a_value_has_one_placeholder_in_all_of_a_request() -> None:
    sent, hidden = MASKS.hide(
        request("ann@example.org or bob@example.org", "ann@example.org", system="ann@example.org?")
    )
    assert [message.text for message in sent.messages] == ["<EMAIL_1> or <EMAIL_2>", "<EMAIL_1>"]
    assert sent.system == "<EMAIL_1>?"
    assert hidden.counts == {"email": 4}


def test_an_answer_has_the_data_again_whatever_the_case_of_their_placeholder() -> None:
    _, hidden = MASKS.hide(request("Write to ann@example.org, not to <EMAIL_1>."))
    assert hidden.texts == {"<EMAIL_2>": "ann@example.org"}
    answer = Response(None, "fake", Message.assistant("<EMAIL_2>, <email_2>, <EMAIL_1>, <EMAIL_9>"), "stop", Usage())
    assert hidden.answer(answer).message.text == "ann@example.org, ann@example.org, <EMAIL_1>, <EMAIL_9>"


def test_a_request_without_personal_data_is_sent_as_it_is() -> None:
    plain = request("Version 1.2.3 of 2024-11-03 costs 1,234.56.", system="Sort it.")
    assert MASKS.hide(plain)[0] is plain


def test_in_the_arguments_of_a_tool_names_numbers_and_all_texts_are_masked() -> None:
    arguments = {
        "data": "ann@example.org",
        "type": {"model": ["bob@example.org"], "ann@example.org": True},
        "role": "plain",
        "phone": 4155552671,
        "amount": 12.5,
        "media_type": None,
    }
    call = Message.assistant([ToolCallPart("1", "send", arguments), DataPart({"data": "bob@example.org"})])
    sent, hidden = MASKS.hide(Request("fake", (Message.user("Send it."), call)))
    parts = message_to_dict(sent.messages[1])["parts"]
    assert parts[0]["input"] == {
        "data": "<EMAIL_1>",
        "type": {"model": ["<EMAIL_2>"], "<EMAIL_1>": True},
        "role": "plain",
        "phone": "<PHONE_1>",
        "amount": 12.5,
        "media_type": None,
    }
    assert parts[1]["value"] == {"data": "<EMAIL_2>"}
    answer = Response(None, "fake", sent.messages[1], "tool_call", Usage())
    back = message_to_dict(hidden.answer(answer).message)["parts"][0]["input"]
    assert back == {**arguments, "phone": "4155552671"}


def test_the_schema_of_a_tool_stays_one() -> None:
    schema = {
        "properties": {"to": {"type": ["string", "null"], "description": "as ann@example.org"}},
        "maximum": 2147483647,
    }
    asked = Request("fake", (Message.user("Send it."),), tools=(FunctionTool("send", parameters=schema),))
    (tool,) = request_to_dict(MASKS.hide(asked)[0])["tools"]
    to = {"type": ["string", "null"], "description": "as <EMAIL_1>"}
    assert tool["parameters"] == {"properties": {"to": to}, "maximum": 2147483647}


def test_media_and_the_names_of_types_are_sent_as_they_are() -> None:
    image = "4155552671" * 4
    asked = Request("4155552671", (Message.user([TextPart("ann@example.org"), ImagePart("image/png", image)]),))
    sent = MASKS.hide(asked)[0]
    assert (sent.model, sent.messages[0].parts[1]) == ("4155552671", asked.messages[0].parts[1])


@pytest.mark.parametrize(
    ("api_base", "local", "masks"),
    [
        ("http://127.0.0.1:8080/v1", False, False),
        ("http://127.0.0.1:8080/v1", True, True),
        ("https://models.example.org/v1", False, True),
        (None, False, True),
    ],
)
def test_what_stays_on_this_machine_is_masked_only_if_that_is_wanted(
    api_base: str | None, local: bool, masks: bool
) -> None:
    endpoint = Endpoint("openai/fake", "fake", api_base)
    assert (masks_for(Privacy(redact=("ip",), local=local), endpoint) is not None) == masks
    assert masks_for(Privacy(local=local), endpoint) is None


def test_an_lm_masks_what_it_sends_sync_and_async() -> None:
    def echo(messages: Messages) -> str:
        return f"it is {text_of(messages[-1]).split()[-1]}"

    with FakeServer(echo) as server:
        lm = masked_model(dspy.LM("openai/fake", api_base=server.api_base, api_key="none", cache=False), MASKS)
        program = dspy.Predict("text -> mail")
        with dspy.context(lm=lm, adapter=adapter("turns")):
            said = program(text="mail ann@example.org").mail
            said_later = asyncio.run(program.acall(text="mail bob@example.org")).mail
        bodies = str(server.requests)
    assert (said, said_later) == ("it is ann@example.org", "it is bob@example.org")
    assert "<EMAIL_1>" in bodies
    assert "example.org" not in bodies
