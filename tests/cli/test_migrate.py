from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from report.migrations import migration, outcome

import optimizer.job.migrate
from optimizer.cli.main import cli
from optimizer.job.migrate_input import Wanted
from optimizer.report.migration import Migration

Run = Callable[..., Result]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command asked for; `found` is what it is answered."""
    seen: dict[str, Any] = {"found": migration()}

    def take(source: str, wanted: Wanted, make_watcher: object) -> Migration:
        seen.update(source=source, wanted=wanted)
        found: Migration = seen["found"]
        return found

    monkeypatch.setattr(optimizer.job.migrate, "migrate", take)
    return seen


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["migrate", *arguments], prog_name="metier")


def test_models_may_follow_the_option_or_repeat_it(asked: dict[str, Any]) -> None:
    for models in (("--to", "a", "b", "c"), ("--to", "a", "--to", "b", "--to", "c")):
        assert run("runs/mine", *models, "--margin", "0.03").exit_code == 0
        assert (asked["source"], asked["wanted"]) == ("runs/mine", Wanted(("a", "b", "c"), 0.03))


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (("moves as it is", "do not move"), 0),
        (("do not move", "do not move"), 1),
        (("do not move", "cannot be told"), 2),
    ],
)
def test_the_exit_code_says_whether_a_model_can_be_moved_to(
    verdicts: tuple[Any, ...], code: int, asked: dict[str, Any]
) -> None:
    asked["found"] = migration(*(outcome(one, 500, "x" if one.startswith("moves") else None) for one in verdicts))
    done = run("runs/mine", "--to", "a")
    assert done.exit_code == code
    assert all(one in done.stdout for one in verdicts)


def test_json_is_the_whole_outcome(asked: dict[str, Any]) -> None:
    assert json.loads(run("runs/mine", "--to", "a", "--json").stdout) == json.loads(json.dumps(migration().to_json()))


@pytest.mark.parametrize("margin", ["0", "1", "-0.1"])
def test_a_margin_is_a_part_of_the_score(margin: str, asked: dict[str, Any]) -> None:
    done = run("runs/mine", "--to", "a", "--margin", margin)
    assert done.exit_code == 2
    assert "wanted" not in asked


def test_help_groups_the_options() -> None:
    text = run("--help").stdout
    assert [line for line in text.splitlines() if line in ("Where to:", "Output:")] == ["Where to:", "Output:"]
