from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from optimizer.config.strict import Strict, validate
from optimizer.config.yamlfile import read_yaml
from optimizer.errors import ConfigError, TaskError


class Inner(Strict):
    colour: str = "red"
    size: int = Field(1, gt=0)


class Outer(Strict):
    name: str
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    maybe: Inner | None = None


def refusal(data: dict[str, object]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        validate(Outer, data, "run.yaml", ConfigError)
    return caught.value


def test_valid_data_gives_the_frozen_model() -> None:
    model = validate(Outer, {"name": "x", "inner": {"size": 3}}, "run.yaml", ConfigError)
    assert model == Outer(name="x", inner=Inner(size=3))
    with pytest.raises(ValidationError, match="frozen"):
        model.name = "y"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"name": "x", "inner": {"color": "blue"}}, "inner.color"),
        ({"name": "x", "maybe": {"color": "blue"}}, "maybe.color"),
        ({"name": "x", "many": [{}, {"color": "blue"}]}, "many.1.color"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(data: dict[str, object], key: str) -> None:
    error = refusal(data)
    assert error.what == f"run.yaml: unknown key '{key}'"
    assert error.remedy == f"In '{key}': did you mean 'colour'?"


def test_an_unknown_key_far_from_all_lists_the_known() -> None:
    assert refusal({"name": "x", "inner": {"zzzzzz": 1}}).remedy == "In 'inner.zzzzzz': known: colour, size."


def test_a_missing_key_is_named() -> None:
    error = refusal({})
    assert error.what == "run.yaml: 'name' is missing"
    assert error.remedy == "Add 'name' to the file."


def test_a_wrong_value_is_shown() -> None:
    error = refusal({"name": "x", "inner": {"size": -4}})
    assert error.what == "run.yaml: 'inner.size': Input should be greater than 0 (got -4)"
    assert error.remedy == "Correct 'inner.size'."


def test_every_problem_is_reported_at_once() -> None:
    error = refusal({"inner": {"size": -4, "weight": 1}})
    assert len(error.what.splitlines()) == 3
    assert all(line.startswith("run.yaml: ") for line in error.what.splitlines())


def test_the_error_is_of_the_asked_class() -> None:
    with pytest.raises(TaskError):
        validate(Outer, {}, "task.yaml", TaskError)


def test_the_line_of_a_wrong_key_in_a_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("name: x\n\ninner:\n  colour: blue\n  size: 0\n")
    with pytest.raises(ConfigError, match=r"run\.yaml:5: 'inner\.size': Input should be greater than 0"):
        validate(Outer, read_yaml(path, ConfigError), str(path), ConfigError)
    path.write_text("inner: {}\n")
    with pytest.raises(ConfigError, match=r"run\.yaml: 'name' is missing"):
        validate(Outer, read_yaml(path, ConfigError), str(path), ConfigError)
