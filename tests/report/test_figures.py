from __future__ import annotations

from xml.etree import ElementTree as Tree

import pytest

from optimizer.report.curves import pareto, priced
from optimizer.report.figures import ROLES, bars, curve, intervals, scatter
from optimizer.report.gather import Facts
from optimizer.report.importance import Importance

HOSTILE = "</svg><script>alert(1)</script> $x$ & \"'"


@pytest.fixture
def drawn(facts: Facts) -> dict[str, str]:
    shown = priced(facts.trials)
    marked = {facts.trials[0].candidate.id: "seed", facts.trials[1].candidate.id: "winner"}
    told = (HOSTILE, f"described {HOSTILE}")
    return {
        "curve": curve([(4, 0.5, 0), (9, 0.75, 3)], *told),
        "scatter": scatter(shown, pareto(shown), marked, *told),
        "bars": bars([Importance(HOSTILE, 0.7, 0.5, 0.9), Importance("count", 0.1, 0.0, 0.2)], *told),
        "intervals": intervals([("seed", 0.5, 0.4, 0.6), ("winner", 1.0, 0.9, 1.0)], *told),
    }


def test_a_figure_has_a_title_and_a_description_that_it_refers_to(drawn: dict[str, str]) -> None:
    for key, svg in drawn.items():
        root = Tree.fromstring(svg)
        title, desc = root[0], root[1]
        assert (title.tag[-5:], desc.tag[-4:]) == ("title", "desc")
        assert (root.get("aria-labelledby"), root.get("aria-describedby")) == (title.get("id"), desc.get("id"))
        assert (title.text, desc.text) == (HOSTILE, f"described {HOSTILE}")
        assert root.get("role") == "img"
        assert root.get("viewBox")
        assert key in str(title.get("id"))


def test_no_style_no_script_and_no_address_is_left(drawn: dict[str, str]) -> None:
    for svg in drawn.values():
        for element in Tree.fromstring(svg).iter():
            assert element.tag.rpartition("}")[2] not in {"style", "script", "metadata", "image", "foreignObject"}
            assert "style" not in element.attrib
            for name, value in element.attrib.items():
                assert not name.startswith("on")
                assert "http" not in value
                if name.endswith("href"):
                    assert value.startswith("#")


def test_every_colour_is_a_variable_of_the_page(drawn: dict[str, str]) -> None:
    for svg in drawn.values():
        colours = {one.get(name, "none") for one in Tree.fromstring(svg).iter() for name in ("fill", "stroke")}
        assert {"var(--ink)", "var(--grid)"} <= colours
        assert colours <= {"none", *(f"var(--{role})" for role in ROLES)}


def test_names_are_unique_over_all_figures_and_every_reference_is_met(drawn: dict[str, str]) -> None:
    ids, wanted = list[str](), set[str]()
    for svg in drawn.values():
        for element in Tree.fromstring(svg).iter():
            ids += [element.attrib["id"]] if "id" in element.attrib else []
            wanted |= {element.attrib["href"][1:]} if "href" in element.attrib else set()
            assert not any("}" in name for name in element.attrib), "HTML knows no namespaces"
            wanted |= {value[5:-1] for value in element.attrib.values() if value.startswith("url(#")}
    assert len(ids) == len(set(ids))
    assert wanted
    assert wanted <= set(ids)


def test_text_is_text_as_it_stands(drawn: dict[str, str]) -> None:
    texts = {one.text for one in Tree.fromstring(drawn["bars"]).iter() if one.tag.endswith("}text")}
    assert {HOSTILE, "count", "share of the variance of scores"} <= texts


def test_the_same_figure_is_the_same_text(drawn: dict[str, str]) -> None:
    assert curve([(4, 0.5, 0), (9, 0.75, 3)], HOSTILE, f"described {HOSTILE}") == drawn["curve"]
