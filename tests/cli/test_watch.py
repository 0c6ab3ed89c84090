from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest
from click.testing import CliRunner, Result
from support.bench import SEED, Bench
from support.jobs import lighten, rule

from optimizer.cli.main import cli
from optimizer.config.models import PROVIDER_CALLS
from optimizer.job.watch import watching
from optimizer.ledger.decisions import WATCH, decisions_of
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import result_of
from optimizer.testing.fake_server import FakeServer, Messages
from optimizer.testing.forks import Forks

pytestmark = pytest.mark.timeout(120)


class Provider:
    """The run's model, until it is `changed`; it can be made to be out of order."""

    def __init__(self) -> None:
        self.changed = False

    def __call__(self, messages: Messages) -> str:
        return "bird" if self.changed else rule(messages)


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def watched(
    finished: Bench, tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, FakeServer]]:
    """A copy of a finished run, and a provider of its model that can change."""
    lighten(monkeypatch.setattr)
    run = tmp_path / "run"
    shutil.copytree(finished.folder / "out", run)
    with FakeServer(provider) as server:
        yield run, server


def invoke(run: Path, server: FakeServer, *arguments: str | Path) -> Result:
    asked: Sequence[str] = ["--model", "openai/fake", "--api-base", server.api_base]
    return CliRunner().invoke(cli, ["watch", str(run), *asked, *map(str, arguments)])


def state_of(run: Path) -> dict[str, object]:
    data: dict[str, object] = json.loads((run / "watch" / "state.json").read_text())
    return data


def test_a_change_raises_an_alarm_that_stands_until_it_is_accepted(
    watched: tuple[Path, FakeServer], provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, server = watched
    junit = run / "watch.xml"
    for check in range(1, 6):
        seen = invoke(run, server, "--junit", junit)
        assert seen.exit_code == 0, seen.output
        assert seen.stdout.startswith(f"no change seen: openai/fake in check {check} of {run} (sorting)\n")
        assert [len(case) for case in Tree.parse(junit).getroot()] == [0, 0, 0]
    provider.changed = True
    seen = invoke(run, server, "--junit", junit, "--json")
    data = json.loads(seen.stdout)
    assert (seen.exit_code, data["outcome"], data["check"]) == (1, "fell", 6)
    assert [child.tag for case in Tree.parse(junit).getroot() for child in case] == ["failure"] * 2
    asked = server.count
    seen = invoke(run, server)
    assert (seen.exit_code, server.count) == (1, asked), "nothing is asked while the alarm stands"
    assert "the alarm of check 6" in seen.stdout
    assert f"`metier watch {run} --accept`" in seen.stderr
    seen = invoke(run, server, "--accept")
    assert (seen.exit_code, seen.stdout.splitlines()[0]) == (0, f"begun anew: openai/fake of {run} (sorting)")
    with closing(Reader(run / "ledger.db")) as ledger:
        decision = decisions_of(ledger)[-1]
    assert (decision.what, decision.value["checks"]) == (WATCH, 6)
    for check in (1, 2):
        assert f"in check {check} of" in invoke(run, server).stdout
    assert state_of(run)["begun"] == 2
    assert not list((run / "watch").glob("check-*")), "what was counted is not kept"


def test_a_webhook_is_told_once_of_an_alarm_and_again_where_it_did_not_hear(
    watched: tuple[Path, FakeServer], provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, server = watched
    bodies: list[dict[str, object]] = []
    hears = [False, True]

    def post(url: str, json: dict[str, object], timeout: float) -> object:
        import httpx

        bodies.append(json)
        return httpx.Response(200 if hears[len(bodies) - 1] else 500)

    monkeypatch.setattr("httpx.post", post)
    monkeypatch.setenv("HOOK", "http://127.0.0.1:9/hook")
    invoke(run, server, "--notify-env", "HOOK")
    provider.changed = True
    for _ in range(4):
        last = invoke(run, server, "--notify-env", "HOOK")
        assert last.exit_code in (0, 1)
    assert last.exit_code == 1
    assert [body["outcome"] for body in bodies] == ["fell", "fell"]
    assert str(bodies[0]["text"]).startswith("changed: openai/fake in check")


def test_a_provider_out_of_order_cannot_be_told_and_counts_for_nothing(watched: tuple[Path, FakeServer]) -> None:
    run, server = watched
    assert invoke(run, server).exit_code == 0
    before = state_of(run)
    for _ in range(100):
        server.fail(400)
    seen = invoke(run, server)
    assert seen.exit_code == 2, seen.output
    assert "never came" in seen.stdout
    assert state_of(run) == before
    server.forgive()
    assert "in check 2 of" in invoke(run, server).stdout


def test_what_a_killed_check_was_answered_is_not_paid_for_again(
    watched: tuple[Path, FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, server = watched

    def killed(folder: Path, state: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("optimizer.job.watch.write_state", killed)
        assert invoke(run, server).exit_code == 130
    asked = server.count
    assert not (run / "watch" / "state.json").exists(), "a killed check is not counted"
    seen = invoke(run, server)
    assert (seen.exit_code, server.count) == (0, asked)
    assert state_of(run)["checks"] == 1


def test_each_check_asks_some_examples_drawn_anew(watched: tuple[Path, FakeServer]) -> None:
    run, server = watched
    met = []
    for check in range(1, 4):
        before = server.count
        assert invoke(run, server, "--examples", "5").exit_code == 0
        assert server.count - before == 5 or check == 1
        met.append(len(state_of(run)["again"]))  # type: ignore[arg-type]
    assert met[0] == 5 < met[1]


def test_bad_input_is_one_clear_message(watched: tuple[Path, FakeServer], tmp_path: Path) -> None:
    run, server = watched
    assert "no watch has begun" in invoke(run, server, "--accept").stderr
    assert invoke(run, server).exit_code == 0
    state = run / "watch" / "state.json"
    good = state.read_text()
    for damaged, message in (
        (good[:100], "cannot be read"),
        ("[]", "is not what metier watch wrote"),
        (good.replace('"checks"', '"cheks"'), "did you mean 'checks'?"),
        (re.sub(r'"low": .*,', '"low": 7,', good), "'scores.low'"),
        (good.replace("openai/fake", "openai/other"), "it watches the prompt"),
    ):
        state.write_text(damaged)
        seen = invoke(run, server)
        assert (seen.exit_code, "Traceback" in seen.output) == (2, False)
        assert message in seen.stderr, seen.stderr
    state.write_text(good)
    with watching(run / "watch"):
        assert "another call of this watch is at work" in invoke(run, server).stderr
    best = json.loads((run / "best.json").read_text())
    best["prompts"]["predict"]["instruction"] = "Sort them."
    (run / "best.json").write_text(json.dumps(best))
    assert "it is not the prompt that won" in invoke(run, server).stderr
    (tmp_path / "empty").mkdir()
    assert "no run lies here" in invoke(tmp_path / "empty", server).stderr
    assert f"{tmp_path / 'nowhere'}: no run lies here" in invoke(tmp_path / "nowhere", server).stderr


@pytest.mark.slow
def test_a_watch_that_is_killed_again_and_again_counts_each_check_once(
    watched: tuple[Path, FakeServer], forks: Forks, tmp_path: Path
) -> None:
    """By SIGKILL at random moments: a call adds one check at most, and only what was in the air is asked again."""
    run, server = watched
    server.delay = 0.02
    rng, counted, kills, asked = random.Random(SEED), 0, 0, server.count
    while counted < 3:
        pid = forks.start(
            *("watch", run, "--model", "openai/fake", "--api-base", server.api_base), log=tmp_path / "watch.log"
        )
        if kills < 8:
            time.sleep(rng.uniform(0.2, 1.2))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            kills += 1
        forks.wait(pid)
        file = run / "watch" / "state.json"
        checks = json.loads(file.read_text())["checks"] if file.exists() else 0
        assert checks - counted in (0, 1)
        counted = checks
    with closing(Reader(run / "ledger.db")) as ledger:
        examples = result_of(ledger).test_examples  # type: ignore[union-attr]
    least = counted * examples
    assert least <= server.count - asked <= least + kills * PROVIDER_CALLS, f"METIER_TEST_SEED={SEED}"
