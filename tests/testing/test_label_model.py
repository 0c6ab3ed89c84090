"""A toy language model: its pieces, its chances, and what a bias does to them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.testing.label_model import FLOOR, JUNK, LONGEST, LabelModel, piece_id, pieces, tokenize
from optimizer.testing.protocols import END

CARDS = {"card_arrival": math.log(0.5), "card_linking": math.log(0.3), "cash": math.log(0.2)}
# In steps that no rounding makes a tie.
WEIGHTS = st.integers(-300, 300).map(lambda tenths: tenths / 10)
NEAR = st.integers(0, 8).map(float)
# Labels that begin alike, with spaces, and one the prefix of another.
SEVERAL = st.dictionaries(st.text("ab _", max_size=12), WEIGHTS, min_size=1, max_size=12)
OF_ONE_PIECE = st.dictionaries(st.text("abcd", min_size=1, max_size=4), WEIGHTS, min_size=1, max_size=12)


def model(weights: Mapping[str, float]) -> LabelModel:
    return LabelModel(lambda messages: weights)


def first(weights: Mapping[str, float], bias: Mapping[int, float] | None = None) -> dict[str, float]:
    """Return the log-probabilities of all first pieces."""
    (token,) = model(weights).generate([], 1, bias, 1000).tokens
    return dict(token.top)


def test_words_are_cut_with_the_space_before_them() -> None:
    assert pieces("card_arrival is\n late") == ["card", "_arr", "ival", " is", "\n", " late"]
    assert pieces("") == []


@given(st.text())
def test_pieces_join_to_the_text_and_have_one_number_each(text: str) -> None:
    parts = pieces(text)
    assert "".join(parts) == text
    assert tokenize(text) == [piece_id(part) for part in parts]
    assert all(0 <= number < 2**31 for number in tokenize(text))
    assert all(pieces(part) == [part] for part in parts)


def test_a_number_is_the_same_in_every_process() -> None:
    assert tokenize("card_arrival")[0] == tokenize("card_linking")[0] == 546464355


def test_a_piece_has_the_chance_of_all_answers_that_go_on_with_it() -> None:
    made = model(CARDS).generate([], top=3)
    assert (made.text, made.cut) == ("card_arrival", False)
    assert [token.text for token in made.tokens] == ["card", "_arr", "ival"]
    start, second, _ = (dict(token.top) for token in made.tokens)
    assert start["card"] - start["cash"] == pytest.approx(math.log(0.8 / 0.2))
    assert second["_arr"] - second["_lin"] == pytest.approx(math.log(0.5 / 0.3))
    assert start["card"] == pytest.approx(math.log(0.8), abs=0.02)


def test_the_greedy_answer_may_be_less_likely_than_another() -> None:
    weights = {"card_a": math.log(0.3), "card_b": math.log(0.3), "cash": math.log(0.4)}
    assert model(weights)([]) == "card_a"


def test_an_answer_may_begin_as_another_one_ends() -> None:
    assert model({"card": 1.0, "card lost": 0.0})([]) == "card"
    made = model({"card": 0.0, "card lost": 1.0}).generate([], top=2)
    assert made.text == "card lost"
    assert [text for text, _ in made.tokens[1].top] == [" lost", END]
    assert model({"": 0.0}).generate([]).tokens == ()


def test_the_messages_decide() -> None:
    asked = LabelModel(lambda messages: {messages[-1]["content"]: 0.0, "other": -1.0})
    assert asked([{"role": "user", "content": "lost card"}]) == "lost card"


def test_junk_is_among_the_likeliest_pieces_unless_an_answer_goes_on_with_it() -> None:
    junk = {text: chance for text, chance in first(CARDS).items() if text in JUNK}
    assert set(junk) == set(JUNK)
    assert all(-7 < chance < -6 for chance in junk.values())
    assert first({"The card": 0.0, "no": -1.0})["The"] > -0.5


@pytest.mark.parametrize(("limit", "text", "cut"), [(1, "card", True), (3, "card_arrival", True), (4, None, False)])
def test_an_answer_is_cut_before_the_piece_that_ends_it(limit: int, text: str | None, cut: bool) -> None:
    made = model(CARDS).generate([], limit)
    assert (made.text, made.cut) == (text or "card_arrival", cut)


def test_the_log_probabilities_are_those_after_the_bias() -> None:
    plain, biased = first(CARDS), first(CARDS, {piece_id("cash"): 2.0, 7: 100.0})
    assert max(biased, key=lambda piece: biased[piece]) == "cash"
    assert biased["cash"] - biased["card"] == pytest.approx(plain["cash"] - plain["card"] + 2)
    assert math.fsum(map(math.exp, biased.values())) == pytest.approx(1)


def test_a_large_bias_repeats_a_piece_and_one_against_every_label_leaves_junk() -> None:
    made = model(CARDS).generate([], 4, {piece_id("card"): 100.0})
    assert (made.text, made.cut) == ("cardcardcardcard", True)
    assert len(model(CARDS).generate([], None, {piece_id("card"): 100.0}).tokens) == LONGEST
    none = model(CARDS).generate([], None, {piece_id(piece): -100.0 for piece in ("card", "cash")})
    assert none.text in JUNK
    assert not none.cut


@pytest.mark.parametrize("weights", [{}, {"a": -math.inf}, {"a": math.nan}, {"a": 0.0, "b": math.inf}])
def test_weights_that_leave_no_answer_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="weight"):
        model(weights)([])


def test_an_answer_without_a_chance_never_comes() -> None:
    assert "b" not in first({"a": 0.0, "b": -math.inf})


@given(SEVERAL, st.integers(0, 30), st.dictionaries(st.sampled_from("ab"), st.floats(-100, 100)))
def test_chances_add_up_to_one_at_most_and_the_likeliest_is_chosen(
    weights: dict[str, float], top: int, biases: dict[str, float]
) -> None:
    bias = {piece_id(piece): value for piece, value in biases.items()}
    for token in model(weights).generate([], 8, bias, top).tokens:
        chances = [chance for _, chance in token.top]
        assert len(chances) <= top
        assert chances == sorted(chances, reverse=True)
        assert all(chance <= 0 for chance in chances)
        assert math.fsum(map(math.exp, chances)) <= 1 + 1e-9
        assert not top or token.top[0] == (token.text, token.logprob)


@given(SEVERAL)
def test_without_a_bias_the_answer_is_one_of_them(weights: dict[str, float]) -> None:
    made = model(weights).generate([])
    assert made.text in weights
    assert not made.cut


@given(OF_ONE_PIECE)
def test_of_answers_of_one_piece_the_likeliest_is_chosen(weights: dict[str, float]) -> None:
    assert weights[model(weights)([])] == max(weights.values())


@given(OF_ONE_PIECE)
def test_chances_of_answers_of_one_piece_differ_as_their_weights_do(weights: dict[str, float]) -> None:
    chances = first(weights)
    best = max(weights, key=lambda text: weights[text])
    for text, weight in weights.items():
        assert chances[best] - chances[text] == pytest.approx(weights[best] - weight, abs=1e-9)


@given(st.dictionaries(st.text("ab _", max_size=12), NEAR, min_size=1, max_size=12), st.floats(0, 100))
def test_the_same_bias_for_all_first_pieces_changes_no_choice_among_them(
    weights: dict[str, float], value: float
) -> None:
    starts = {parts[0] if (parts := pieces(text)) else END for text in weights}
    bias = dict.fromkeys(map(piece_id, starts), value)
    plain, biased = (model(weights).generate([], 1, kind).text for kind in ({}, bias))
    assert plain == biased


def test_junk_and_other_pieces_never_win_without_a_bias() -> None:
    count = 3000
    assert model({f"{number:04}": 0.0 for number in range(count)})([]) == "0000"
    assert -math.log(count) > FLOOR
