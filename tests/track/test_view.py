from __future__ import annotations

import json

from optimizer.track.view import view_address, view_state, view_tag


def test_a_link_finds_the_view_that_the_tag_holds() -> None:
    assert view_tag("abc") == "mlflow.sharedViewState.metier-abc"
    assert view_address("7", "abc") == "#/experiments/7/runs?viewStateShareKey=metier-abc"


def test_every_predictor_has_its_columns() -> None:
    state = json.loads(view_state("abc", ["first", "second"], ranked=False))
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`score`", False)
    assert state["selectedColumns"][:2] == ["metrics.`rank`", "metrics.`score`"]
    assert {"params.`first.format`", "params.`second.demos`", "tags.`reason`"} <= set(state["selectedColumns"])
    assert "'abc'" in state["searchFilter"]


def test_the_first_rank_comes_first() -> None:
    state = json.loads(view_state("abc", ["predict"], ranked=True))
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`rank`", True)
