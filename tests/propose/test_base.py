from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from optimizer.propose.base import Proposal, distinct

texts = st.lists(st.sampled_from(["a b", "A  B", " a b\n", "c", "C", "d", "ab"]), max_size=10)


def test_what_differs_in_case_and_space_only_is_one() -> None:
    found = distinct([Proposal("Do it.", "seed"), Proposal("do  it.", "x"), Proposal("Do that.", "y")], 9)
    assert found == (Proposal("Do it.", "seed"), Proposal("Do that.", "y"))


def test_the_limit_counts_what_is_left_over() -> None:
    found = distinct([Proposal("a", "x"), Proposal("A", "x"), Proposal("b", "x"), Proposal("c", "x")], 2)
    assert [p.text for p in found] == ["a", "b"]


@given(texts, st.integers(0, 6))
def test_the_first_of_each_kind_is_kept_in_order(written: list[str], limit: int) -> None:
    found = [p.text for p in distinct([Proposal(text, str(n)) for n, text in enumerate(written)], limit)]
    firsts: dict[str, str] = {}
    for text in written:
        firsts.setdefault(" ".join(text.lower().split()), text)
    assert found == list(firsts.values())[:limit]
