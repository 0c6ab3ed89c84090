"""Labels are read from what a model tells of each token, as far as it tells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import dspy
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from optimizer.errors import TaskError
from optimizer.prompt.formats import PLAIN
from optimizer.prompt.readout import (
    TOP,
    Labels,
    choose,
    label_logprobs,
    labels_of,
    read_labels,
    readout_in,
)
from optimizer.testing.label_model import LabelModel, pieces
from optimizer.types import Calibration, Prompt

# In steps that no rounding makes a tie.
WEIGHTS = st.integers(-80, 80).map(lambda tenths: tenths / 10)
# No word is the beginning of another, and no junk piece is one of a word.
OF_ONE_PIECE = st.dictionaries(st.text("abcdé", min_size=3, max_size=3), WEIGHTS, min_size=2, max_size=12)
NEAR = st.integers(-40, 40).map(lambda tenths: tenths / 10)
WORDS = st.dictionaries(st.text("ab_", min_size=1, max_size=9), NEAR, min_size=2, max_size=8)
TEAM = dspy.Signature("message -> team: Literal['card', 'loan']", "Sort.")
YES = dspy.Signature("message -> urgent: bool", "Is it urgent?")


def told(weights: Mapping[str, float], limit: int | None = None) -> list[dict[str, Any]]:
    """Return the tokens of a model's answer as OpenAI's protocol tells them."""
    made = LabelModel(lambda messages: weights).generate([], limit, top=TOP)
    return [token_of(token.text, token.logprob, dict(token.top)) for token in made.tokens]


def token_of(text: str, logprob: float, top: Mapping[str, float]) -> dict[str, Any]:
    others = [{"token": other, "logprob": likely} for other, likely in top.items()]
    return {"token": text, "logprob": logprob, "top_logprobs": others}


def tokens(*made: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return tokens, of which each is the first of its alternatives; these are given with their probabilities."""
    return [
        token_of(next(iter(top)), math.log(top[next(iter(top))]), {text: math.log(p) for text, p in top.items()})
        for top in made
    ]


def chances(content: Sequence[Mapping[str, Any]], *labels: str) -> dict[str, float]:
    found = label_logprobs(content, labels)
    return {label: round(math.exp(one), 6) for label, one in zip(labels, found, strict=True)} if found else {}


@given(OF_ONE_PIECE)
def test_labels_of_one_piece_differ_as_the_model_thinks(weights: dict[str, float]) -> None:
    found = label_logprobs(told(weights), list(weights))
    first = next(iter(weights))
    for label, one in zip(weights, found, strict=True):
        assert one - found[0] == pytest.approx(weights[label] - weights[first], abs=1e-6)


@given(OF_ONE_PIECE, st.sampled_from(["", " ", "\n", '"', "**", "(", "\t'"]), st.booleans())
def test_what_stands_before_a_label_and_its_case_do_not_matter(
    weights: dict[str, float], before: str, upper: bool
) -> None:
    assume(len({word.casefold() for word in weights}) == len(weights))
    plain = told(weights)
    changed = [
        token_of(
            before + (one["token"].upper() if upper else one["token"]),
            one["logprob"],
            {before + (o["token"].upper() if upper else o["token"]): o["logprob"] for o in one["top_logprobs"]},
        )
        for one in plain
    ]
    assert label_logprobs(changed, list(weights)) == pytest.approx(label_logprobs(plain, list(weights)))
    alone = [token_of(before, -0.1, {before: -0.1}), *plain] if before else plain
    found, wanted = label_logprobs(alone, list(weights)), label_logprobs(plain, list(weights))
    shift = found[0] - wanted[0]
    assert [one - shift for one in found] == pytest.approx(wanted)


@given(WORDS)
def test_the_answer_that_was_made_is_as_likely_as_its_tokens(weights: dict[str, float]) -> None:
    """What is told of the tokens of other labels that lead to the same one comes on top."""
    content = told(weights)
    answer, labels = "".join(one["token"] for one in content), list(weights)
    found = label_logprobs(content, labels)
    assert len(found) == len(labels)
    assert all(one <= 1e-9 for one in found)
    path = sum(one["logprob"] for one in content)
    assert found[labels.index(answer)] >= path - 1e-9


@given(WORDS)
def test_a_label_that_parts_alone_has_exactly_its_chance(weights: dict[str, float]) -> None:
    """Of labels that no other begins with: where one piece tells it from all others, its own chance there counts."""
    assume(not any(one != other and one.startswith(other) for one in weights for other in weights))
    content, labels = told(weights), list(weights)
    found = dict(zip(labels, label_logprobs(content, labels), strict=True))
    for label in labels:
        path, before = "", 0.0
        for token, piece in zip(content, pieces(label), strict=False):
            likely = {one["token"]: one["logprob"] for one in token["top_logprobs"]}
            in_words = label.replace("_", " ")
            if any(text != piece and in_words.startswith((path + text).replace("_", " ")) for text in likely):
                break  # another piece of the same label, which adds to it
            if not any(one != label and one.startswith(path + piece) for one in labels):
                assert found[label] == pytest.approx(before + likely[piece], abs=1e-3)  # other pieces have e^-20
                break
            if token["token"] != piece:
                break
            path, before = path + piece, before + token["logprob"]


def test_labels_that_part_together_share_what_is_known_of_them() -> None:
    made = tokens({"cash": 0.6, "card": 0.3, "I": 0.1})
    assert chances(made, "cash", "card_arrival", "card_linking") == {
        "cash": 0.6,
        "card_arrival": 0.15,
        "card_linking": 0.15,
    }


def test_labels_that_share_their_first_pieces_are_told_apart_where_they_part() -> None:
    made = tokens({"card": 0.8, "cash": 0.2}, {"_arr": 0.75, "_lin": 0.25}, {"ival": 1.0})
    assert chances(made, "cash", "card_linking", "card_arrival") == {
        "cash": 0.2,
        "card_linking": 0.2,
        "card_arrival": 0.6,
    }


def test_what_joins_the_words_of_a_label_does_not_matter() -> None:
    made = tokens({"card": 0.8, "cash": 0.2}, {" arr": 0.75, "-lin": 0.25}, {"ival": 1.0})
    assert chances(made, "cash", "card_linking", "card_arrival")["card_arrival"] == 0.6


def test_labels_may_differ_in_what_joins_their_words() -> None:
    made = tokens({"x": 1.0}, {"-": 0.75, "_": 0.25}, {"y": 1.0})
    assert chances(made, "x_y", "x-y") == {"x_y": 0.25, "x-y": 0.75}


def test_a_label_that_begins_another_is_one_where_the_answer_ends_there() -> None:
    alone = tokens({"no": 0.7, "yes": 0.3})
    for labels in (("not sure", "no", "yes"), ("no", "yes", "not sure")):
        found = chances(alone, *labels)
        assert max(found, key=lambda label: found[label]) == "no"
        assert found["no"] == 0.7
        assert found["not sure"] == 0.35, "half as likely at most"
    longer = tokens({"no": 0.7, "yes": 0.3}, {"t sure": 0.9, "<|im_end|>": 0.1})
    assert chances(longer, "no", "yes", "not sure") == {"no": 0.07, "yes": 0.3, "not sure": 0.63}


@pytest.mark.parametrize("end", ["", "<|im_end|>", "</s>", ".", "\n", "\n\nBecause", ", as"])
def test_what_ends_an_answer_tells_for_the_label_that_it_was(end: str) -> None:
    made = tokens({"no": 0.7, "yes": 0.3}, {end: 0.9, "t sure": 0.1})
    assert chances(made, "not sure", "no", "yes") == {"not sure": 0.07, "no": 0.63, "yes": 0.3}


def test_an_answer_that_is_cut_off_says_what_it_has_come_to() -> None:
    cut = tokens({"card": 0.8, "cash": 0.2})
    assert chances(cut, "card_arrival", "card_linking", "cash") == {
        "card_arrival": 0.4,
        "card_linking": 0.4,
        "cash": 0.2,
    }


def test_a_label_is_a_word_of_its_own() -> None:
    assert chances(tokens({"cardiology": 0.9, "loan": 0.1}), "card", "loan") == {"card": 0.1, "loan": 0.1}


def test_labels_may_begin_with_what_else_stands_before_them() -> None:
    assert chances(tokens({"(": 1.0}, {"a": 0.6, "b": 0.4}), "(a)", "(b)") == {"(a)": 0.6, "(b)": 0.4}
    assert chances(tokens({"*": 0.7, "x": 0.3}), "*", "x")["x"] == 0.3


def test_nothing_is_known_where_no_label_is_told() -> None:
    assert label_logprobs([], ["a", "b"]) == ()
    assert label_logprobs(tokens({"The": 0.9, "I": 0.1}, {" answer": 1.0}), ["yes", "no"]) == ()
    assert label_logprobs(tokens({" ": 1.0}, {"\n": 1.0}), ["yes", "no"]) == ()
    assert label_logprobs([token_of("yes", -0.1, {})], ["yes", "no"]) == (), "no alternatives were told"


@given(OF_ONE_PIECE.filter(lambda weights: len(weights) >= 4), st.integers(1, 3))
def test_what_is_not_told_is_not_likelier_than_what_is(weights: dict[str, float], top: int) -> None:
    made = LabelModel(lambda messages: weights).generate([], top=top)
    content = [token_of(token.text, token.logprob, dict(token.top)) for token in made.tokens]
    labels, named = list(weights), set(dict(made.tokens[0].top))
    found = dict(zip(labels, label_logprobs(content, labels), strict=True))
    known = [one for label, one in found.items() if label in named]
    assert all(one <= min(known) + 1e-9 for label, one in found.items() if label not in named)


ODD = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text("yesno -1.", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries({}, optional={"token": inner, "logprob": inner, "top_logprobs": inner})
    ),
    max_leaves=12,
)


@given(st.lists(ODD, max_size=3))
def test_whatever_a_server_tells_is_finite_or_nothing(content: list[Any]) -> None:
    found = label_logprobs(content, ["yes", "no"])
    assert len(found) in {0, 2}
    assert all(map(math.isfinite, found))


@pytest.mark.parametrize("odd", [math.nan, None, "much", 10**400])
def test_what_is_no_log_probability_tells_nothing(odd: Any) -> None:
    assert label_logprobs([token_of("yes", -0.1, {"yes": -0.1, "no": odd})], ["yes", "no"]) == ()
    assert label_logprobs([token_of("yes", odd, {"yes": -0.1, "no": -2.0})], ["yes", "no"]) == ()


def test_what_was_told_before_counts() -> None:
    made = [*tokens({"card": 0.8, "cash": 0.2}), token_of("_arr", math.nan, {"_arr": -0.1})]
    assert chances(made, "card_arrival", "cash") == {"card_arrival": 0.8, "cash": 0.2}
    assert chances(made, "card_a", "card_b", "cash") == {"card_a": 0.4, "card_b": 0.4, "cash": 0.2}


def test_an_impossible_token_has_a_logarithm() -> None:
    content = [token_of("yes", 0.0, {"yes": 0.0, "no": -9999.0})]
    assert all(map(math.isfinite, label_logprobs(content, ["yes", "no"])))


def test_labels_are_a_choice_or_yes_and_no() -> None:
    assert labels_of(TEAM) == Labels("team", ("card", "loan"), Literal["card", "loan"])
    assert labels_of(YES) == Labels("urgent", ("yes", "no"), bool)
    for other in ("a -> b", "a -> b: int", "a -> b: bool, c: bool", "a -> b: Literal[1, 2]", "a -> b: list[str]"):
        assert labels_of(dspy.Signature(other)) is None


def test_a_label_stands_for_a_value() -> None:
    for signature, values in ((TEAM, ["card", "loan"]), (YES, [True, False])):
        labels = labels_of(signature)
        assert labels is not None
        assert [labels.value(number) for number in (0, 1)] == values
        assert [labels.number(value) for value in values] == [0, 1]
        assert labels.number("something else") is None
        assert labels.number(None) is None


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4, unique=True))
def test_a_label_has_room_for_a_token_a_byte(words: list[str]) -> None:
    labels = Labels("x", tuple(words), str)
    assert labels.most_tokens - 2 == max(len(word.encode()) for word in words)


@pytest.mark.parametrize("readout", ["choose", "calibrated"])
def test_a_readout_needs_one_label_that_begins_the_answer(readout: Any) -> None:
    for name in PLAIN:
        assert read_labels(TEAM, Prompt("i", name, readout=readout)) == labels_of(TEAM)
    with pytest.raises(TaskError, match=f"format chat for team cannot have the readout {readout}"):
        read_labels(TEAM, Prompt("i", "chat", readout=readout))
    with pytest.raises(TaskError, match="for b, c cannot"):
        read_labels(dspy.Signature("a -> b, c"), Prompt("i", readout=readout))
    assert read_labels(dspy.Signature("a -> b, c"), Prompt("i")) is None


def test_a_calibration_is_for_the_labels_of_the_task() -> None:
    fitted = Calibration(1.0, (0.5, -0.5), 1.0, ("loan", "card"))
    with pytest.raises(TaskError, match="calibrated for the labels loan, card, and the task has card, loan"):
        read_labels(TEAM, Prompt("i", readout="calibrated", calibration=fitted))


def test_words_are_read_where_a_marker_begins_the_answer() -> None:
    assert readout_in("turns", "calibrated") == readout_in("block", "calibrated") == "calibrated"
    assert readout_in("chat", "calibrated") == readout_in("json", "choose") == "generate"


def test_the_likeliest_label_is_chosen_and_of_equals_the_first() -> None:
    fitted = Calibration(1.0, (-1.0, 1.0), 1.0, ("card", "loan"))
    logprobs = (math.log(0.6), math.log(0.4))
    assert choose(Prompt("i", readout="choose"), logprobs) == 0
    assert choose(Prompt("i", readout="calibrated"), logprobs) == 0, "not fitted yet"
    assert choose(Prompt("i", readout="calibrated", calibration=fitted), logprobs) == 1
    assert choose(Prompt("i", readout="choose", calibration=fitted), logprobs) == 0
    assert choose(Prompt("i", readout="choose"), (-1.0, -1.0)) == 0
