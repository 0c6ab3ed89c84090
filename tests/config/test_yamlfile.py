from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.config.yamlfile import line_of, read_text, read_yaml
from optimizer.errors import ConfigError


def test_read_text_drops_the_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfname: x")
    assert read_text(tmp_path / "a", ConfigError) == "name: x"


def test_read_text_tells_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_text(tmp_path / "absent", ConfigError)
    with pytest.raises(ConfigError, match="is a folder, not a file"):
        read_text(tmp_path, ConfigError)
    (tmp_path / "latin").write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin:2: not valid UTF-8 \(byte 0xe9\)"):
        read_text(tmp_path / "latin", ConfigError)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: [1\nb: 2\n", r"x\.yaml:2: not valid YAML"),
        ("", "must be a mapping of keys to values, not empty"),
        ("- 1\n- 2\n", "must be a mapping of keys to values, not a list"),
        ("just words", "must be a mapping of keys to values, not a str"),
    ],
)
def test_read_yaml_refuses_what_is_no_mapping(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=what):
        read_yaml(tmp_path / "x.yaml", ConfigError)


def test_read_yaml_builds_no_objects(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(tmp_path / "x.yaml", ConfigError)


@pytest.mark.parametrize(
    ("text", "key", "again", "first"),
    [
        ("seed: 1\ntask: a\nseed: 2\n", "seed", 3, 1),
        ("search:\n  trials: 3\n  trials: 4\n", "trials", 3, 2),
        ("many:\n  - {a: 1}\n  - {b: 1, b: 1}\n", "b", 3, 3),
    ],
)
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, text: str, key: str, again: int, first: int) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=f"x.yaml:{again}: '{key}' is given a second time") as caught:
        read_yaml(tmp_path / "x.yaml", ConfigError)
    assert f"line {first}" in caught.value.remedy


def test_the_same_key_in_two_places_is_no_repetition(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: &it {b: 1}\nc: {a: 1, '1': 2, 1: 3}\nd: *it\n")
    assert read_yaml(tmp_path / "x.yaml", ConfigError)["c"] == {"a": 1, "1": 2, 1: 3}


def test_an_alias_that_holds_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: &me [1, *me]\n")
    assert read_yaml(tmp_path / "x.yaml", ConfigError)["a"][0] == 1


def test_line_of(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\nb:\n  c: 2\n")
    assert line_of(path, ("b", "c")) == 3
    assert line_of(path, ("b", "absent")) == 2
    assert line_of(path, ("absent",)) is None
    assert line_of(tmp_path / "absent.yaml", ("a",)) is None
