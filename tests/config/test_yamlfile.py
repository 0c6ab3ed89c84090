from __future__ import annotations

import os
from pathlib import Path

import pytest

from optimizer.config.yamlfile import LARGEST, composed, line_of, read_text, read_yaml
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


def bomb() -> str:
    """Return a few hundred bytes that stand for 9 ** 9 values."""
    lines = [
        f"{name}: &{name} [{', '.join([f'*{below}'] * 9)}]" for below, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    return "\n".join(["a: &a [x, x, x, x, x, x, x, x, x]", *lines])


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        (bomb(), "more than 40,000 keys and values"),
        ("a: [" + "1, " * 40_000 + "1]", "more than 40,000 keys and values"),
        ("a: " + "[" * 5000, "nested more than 100 deep"),
        ("a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 150)), "nested more than 100 deep"),
        ("a: &me [1, *me]", "an alias stands inside what it names"),
        ("a: &me {<<: *me}", "an alias stands inside what it names"),
        ("a: " + "x" * LARGEST, "it has 1,000,003 characters; 1,000,000 are allowed"),
        ("a: 2024-13-01", "'2024-13-01' cannot be read as timestamp"),
        ("a: !!int abc", "'abc' cannot be read as int"),
        ("a: !!int ''", "'' cannot be read as int"),
        ("a: !!bool maybe", "'maybe' cannot be read as bool"),
        ("a: !!timestamp soon", "'soon' cannot be read as timestamp"),
        ("a: " + "9" * 5000, "… cannot be read as int"),
        ("a: 0x" + "f" * 5000, "… cannot be read as int"),
    ],
)
def test_read_yaml_refuses_what_no_config_needs(tmp_path: Path, text: str, flaw: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match="not valid YAML") as caught:
        read_yaml(tmp_path / "x.yaml", ConfigError)
    assert flaw in caught.value.what
    assert len(caught.value.what) < 400


def test_an_alias_may_stand_for_a_section(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: &it {b: [1, 2]}\nc: *it\nd: {<<: *it, e: 2025-02-28}\n")
    data = read_yaml(tmp_path / "x.yaml", ConfigError)
    assert data["c"] == {"b": [1, 2]}
    assert data["d"]["b"] == [1, 2]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.yaml")
    with pytest.raises(ConfigError, match="is a pipe or a device, not a file"):
        read_yaml(tmp_path / "x.yaml", ConfigError)
    with pytest.raises(ConfigError, match="is a pipe or a device, not a file"):
        read_text(Path(os.devnull), ConfigError)


@pytest.mark.parametrize("name", ["x" * 300, "x\0y"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_text(tmp_path / name, ConfigError)


def test_line_of(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\nb:\n  c: 2\n")
    assert line_of(composed(path), ("b", "c")) == 3
    assert line_of(composed(path), ("b", "absent")) == 2
    assert line_of(composed(path), ("absent",)) is None
    assert line_of(composed(tmp_path / "absent.yaml"), ("a",)) is None


def test_half_of_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text('task: "\\uD800"\n')
    with pytest.raises(ConfigError, match=r"a.yaml:1: not valid YAML \(.*cannot be read as str"):
        read_yaml(tmp_path / "a.yaml", ConfigError)
