"""What README and the pages promise is so: each case quotes a sentence, and checks it by what happens."""

from __future__ import annotations

import ast
import os
import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from dspy.lm15 import Config, Message, Request
from support.jobs import lighten, make_task, rule, settings, write_config

from docs.blocks import ROOT
from optimizer.cli.main import cli
from optimizer.cli.text import echo
from optimizer.config.models import ANSWER_TOKENS, SHORT_TOKENS
from optimizer.config.schema import BudgetConfig, Failures, RunConfig
from optimizer.door import connection
from optimizer.door.budget import Budget
from optimizer.door.door import Door
from optimizer.errors import CallError, LedgerError, MetierError
from optimizer.evaluate.statistics import difference
from optimizer.job.check import EXIT, at_least, not_worse
from optimizer.job.run import run_config
from optimizer.ledger.answers import answers_of, put_scores
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report, result_of
from optimizer.ledger.schema import VERSION
from optimizer.ledger.shared import SharedCache
from optimizer.models.fleet import Fleet
from optimizer.models.prices import Price
from optimizer.models.providers import Endpoint
from optimizer.search.verdict import Tested as Side
from optimizer.search.verdict import judge
from optimizer.system.redact import scrub
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.faults import Fault
from optimizer.types import Candidate, Failure, Prompt, Score

SEED = int(os.environ.get("METIER_TEST_SEED", "20"))
PAGES = ROOT / "docs" / "pages"
BUDGETS, LEDGER, SECURITY, VERDICT, LIMITS, RESUME, SERVERS, CI, CODES, FILES, SHARED, BUDGET = (
    PAGES / f"{name}.md"
    for name in (
        *("explanation/budgets", "explanation/ledger", "explanation/security", "explanation/verdict"),
        *("explanation/limits", "how-to/resume", "how-to/servers-and-prices", "how-to/ci", "reference/exit-codes"),
        *("reference/files", "how-to/shared-cache", "how-to/budget"),
    )
)
README = ROOT / "README.md"
UNLIMITED = BudgetConfig()


@dataclass
class World:
    """A finished run of a small task, and the server that answered it."""

    folder: Path
    config: str
    server: FakeServer
    result: Report
    tmp: Path = Path()

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def metier(self, *arguments: object) -> Result:
        return CliRunner().invoke(cli, list(map(str, arguments)), prog_name="metier")

    def rows(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(self.run / "ledger.db")) as connection_:
            return connection_.execute(sql).fetchall()

    def refused(self, *arguments: object) -> str:
        """Return the message of a command that is refused before anything is asked."""
        asked = self.server.count
        done = self.metier(*arguments)
        assert (done.exit_code, done.stdout.removeprefix("Loading …\n"), self.server.count) == (2, "", asked)
        assert done.stderr.startswith("Error: ")
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("statements")
    with pytest.MonkeyPatch.context() as patch, FakeServer(rule) as server:
        lighten(patch.setattr)
        data = settings(make_task(folder / "task"), server.api_base, run_dir=str(folder / "run"), seed=SEED)
        config = write_config(folder / "run.yaml", data)
        yield World(folder, str(config), server, run_config(config))


@pytest.fixture
def world(made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(connection, "FIRST_WAIT", 0.001)
    made.tmp = tmp_path
    return made


@contextmanager
def door(
    world: World, server: FakeServer | None = None, limits: BudgetConfig = UNLIMITED, **options: Any
) -> Iterator[Door]:
    """Open a door of its own to a server, with a ledger in the test's folder."""
    at = world.server if server is None else server
    with closing(Ledger(world.tmp / "ledger.db")) as ledger:
        price, failures = Price(1e-3, 1e-3), Failures(**options)
        opened = Door(
            ledger,
            Budget(limits),
            {"task": Endpoint("openai/fake", "fake", at.api_base, "key")},
            {"task": price},
            failures,
        )
        try:
            yield opened
        finally:
            opened.close()


def ask(opened: Door, count: int) -> list[BaseException | None]:
    """Ask so many different calls at once; returns how each ended."""
    requests = [Request("openai/fake", (Message.user(f"iron {n}"),), config=Config(max_tokens=9)) for n in range(count)]
    futures = [opened.submit("task", request) for request in requests]
    return [future.exception(30) for future in futures]


def sides(seed: Sequence[float | None], winner: Sequence[float | None]) -> Any:
    """Return the verdict's outcome for these scores; None is a call that the provider lost."""
    prompts = (Candidate({"predict": Prompt(text)}) for text in ("Seed.", "Winner."))
    results = ([Failure("server", "500") if one is None else Score(one) for one in scores] for scores in (seed, winner))
    return judge(*map(Side, prompts, results))


Check = Callable[[World], None]
CASES: list[tuple[Path, str, Check]] = []


def says(page: Path, sentence: str) -> Callable[[Check], Check]:
    """Enter a case: what the page says, and what shows that it is so."""

    def enter(check: Check) -> Check:
        CASES.append((page, sentence, check))
        return check

    return enter


# --- proof ---------------------------------------------------------------------------------------------------------


@says(README, "The verdict is `improved` only where that interval lies above zero.")
def improved_means_above_zero(world: World) -> None:
    chance = random.Random(SEED)
    for _ in range(60):
        n, gain = chance.randint(5, 60), chance.random()
        seed = [float(chance.random() < 0.5) for _ in range(n)]
        outcome = sides(seed, [max(one, float(chance.random() < gain)) for one in seed])
        assert (outcome.verdict == "improved") == (outcome.ci95[0] > 0)


@says(VERDICT, "| `inconclusive` | holds zero | keep your prompt; the winner is saved beside it |")
def no_difference_is_inconclusive(world: World) -> None:
    outcome = sides([1.0, 0.0] * 20, [0.0, 1.0] * 20)
    assert outcome.verdict == "inconclusive"
    assert outcome.ci95[0] < 0 < outcome.ci95[1]
    told = Report.from_json(
        {**world.result.to_json(), "verdict": "inconclusive"}, world.result.seed.candidate, world.run
    )
    assert told.recommendation.startswith("Keep the seed prompt")


@says(VERDICT, "Where the seed itself won, the verdict is `inconclusive`.")
def a_seed_that_wins(world: World) -> None:
    same = Side(Candidate({"predict": Prompt("Seed.")}), [Score(1.0)] * 40)
    assert judge(same, same).verdict == "inconclusive"


@says(VERDICT, "A winner that lacks more than a fifth of the answers is never called `improved`.")
def a_winner_that_lacks_answers(world: World) -> None:
    assert sides([0.0] * 100, [1.0] * 79 + [None] * 21).verdict == "inconclusive"
    assert sides([0.0] * 100, [1.0] * 80 + [None] * 20).verdict == "improved"


@says(VERDICT, "**Test** is touched once, at the end, by the seed and the winner, side by side.")
def the_test_is_touched_once(world: World) -> None:
    with closing(Reader(world.run / "ledger.db")) as ledger:
        tested = {answer.example for answer in answers_of(ledger, world.result.winner.candidate.id, "test")}
    assert len(tested) == world.result.test_examples > 0
    searched = world.rows("SELECT example, MAX(id) FROM calls WHERE phase = 'search' GROUP BY example")
    assert tested.isdisjoint(example for example, _ in searched)
    first = world.rows("SELECT MIN(id) FROM calls WHERE phase = 'test'")[0][0]
    assert max(last for _, last in searched) < first


@says(LIMITS, "A gain of about 3.5 / n or less is never shown, even if all n examples have it")
def small_gains_are_not_shown(world: World) -> None:
    for n in (20, 40, 100, 300):
        assert difference([0.5 + 3.4 / n] * n, [0.5] * n)[0] <= 0
        assert difference([0.5 + 4 / n] * n, [0.5] * n)[0] > 0


@says(VERDICT, "So the usual limit is wide: 4,096 tokens.")
def answers_are_long(world: World) -> None:
    assert ANSWER_TOKENS == 4096


@says(VERDICT, "it is four times the longest of the seed's first ten answers, from 512 to 1,024")
def labels_are_short(world: World) -> None:
    limits = {body.get("max_tokens", body.get("max_completion_tokens")) for body in world.server.requests}
    assert SHORT_TOKENS == 1024
    assert limits - {2 + len("fruit")} <= {512, 1024}, limits  # 7: the question that tells if labels can be read so


@says(VERDICT, "They are compared with the winner pair by pair on `test.baselines` (100) of the test examples")
def baselines_are_measured(world: World) -> None:
    assert RunConfig(task="t").test.baselines == 100
    assert world.result.baselines
    assert {one.examples for one in world.result.baselines} == {min(100, world.result.test_examples)}


@says(CI, "below zero it fell, above `-0.05` (`--margin`) it holds.")
def a_check_holds_within_its_margin(world: World) -> None:
    some = [Score(float(n % 2)) for n in range(300)]
    assert not_worse(some, some, 0.05, "x").outcome == "holds"
    assert not_worse([Score(0.0)] * 300, some, 0.05, "x").outcome == "fell"
    assert next(p.default for p in cli.commands["check"].params if p.name == "margin") == 0.05  # type: ignore[attr-defined]


@says(CI, "above `--min` it holds, below it fell, and one that straddles it tells nothing.")
def a_check_tells_by_its_interval(world: World) -> None:
    some = [Score(float(n % 2)) for n in range(40)]
    told = [EXIT[at_least(some, least).outcome] for least in (0.1, 0.9, 0.5)]
    assert told == [0, 1, 2]


# --- budget --------------------------------------------------------------------------------------------------------


@says(BUDGETS, "So at any concurrency no limit is passed.")
def no_limit_is_passed(world: World) -> None:
    with FakeServer(rule, delay=0.02) as server, door(world, server, BudgetConfig(calls=20)) as opened:
        outcomes = ask(opened, 60)
    assert outcomes.count(None) == server.answered == 20


@says(BUDGETS, "`calls` counts answers. An attempt that certainly was not answered does not count.")
def only_answers_count(world: World) -> None:
    with FakeServer(rule) as server, door(world, server, BudgetConfig(calls=20)) as opened:
        server.fail(500, times=3)
        outcomes = ask(opened, 20)
    assert outcomes == [None] * 20
    assert server.count == 23


@says(BUDGETS, "is booked in tokens and dollars at the most that it can have cost.")
def what_may_have_been_charged_is_booked(world: World) -> None:
    with FakeServer(rule) as server, door(world, server, retries=0) as opened:
        server.inject(Fault("cut"))
        assert isinstance(ask(opened, 1)[0], CallError)
        row = opened.ledger.read("SELECT input_tokens, output_tokens, usd FROM calls")[0]
    assert row["output_tokens"] == 9  # its limit
    assert row["usd"] == pytest.approx(1e-3 * (row["input_tokens"] + 9))


@says(
    BUDGETS, "A budget that does not pay for two prompts on one block of examples is refused before anything is paid."
)
def too_small_a_budget(world: World) -> None:
    assert "too small to compare two prompts" in world.refused("run", world.config, "--set", "budget.calls=5")


@says(BUDGET, "Without any there are 40 trials.")
def trials_without_a_budget(world: World) -> None:
    assert RunConfig(task="t").trials == 40


@says(README, "never overspent, never twice after a crash")
def the_run_kept_its_budget(world: World) -> None:
    searched = world.rows("SELECT COUNT(*) FROM calls WHERE phase = 'search' AND state = 'done'")[0][0]
    assert 0 < searched <= 100
    assert world.server.answered == world.rows("SELECT COUNT(DISTINCT key) FROM calls")[0][0]


@says(SERVERS, "A wrong key costs at most three requests.")
def a_wrong_key(world: World) -> None:
    with FakeServer(rule, delay=0.02) as server, door(world, server) as opened:
        server.break_down(Fault("status", 401))
        assert all(isinstance(problem, MetierError) for problem in ask(opened, 50))
    assert server.count <= 3


@says(SERVERS, "timeout: 60 # seconds that a call may take; default 900 for a local model, 120 else")
def defaults_of_a_connection(world: World) -> None:
    with Fleet(RunConfig(task="t", models={"task": "openai/x"}).models) as fleet:  # type: ignore[arg-type]
        assert (fleet.endpoints["task"].timeout, fleet.endpoints["task"].concurrency) == (120, 16)


# --- crash and resume ----------------------------------------------------------------------------------------------


@says(LEDGER, "1. write down the intended call; 2. make it; 3. commit the answer;")
def a_call_is_written_down_first(world: World) -> None:
    seen: list[tuple[str, str | None]] = []

    def answer(messages: Any) -> str:
        with closing(Reader(world.tmp / "ledger.db")) as ledger:
            seen.extend((row["state"], row["response"]) for row in ledger.read("SELECT * FROM calls"))
        return "hi"

    with FakeServer(answer) as server, door(world, server) as opened:
        assert ask(opened, 1) == [None]
        assert opened.ledger.read("SELECT state FROM calls")[0]["state"] == "done"
    assert seen == [("intent", None)]


@says(LEDGER, "The promise: **no committed answer is paid twice**.")
def a_committed_answer_is_not_paid_again(world: World) -> None:
    with FakeServer(rule) as server:
        for _ in range(2):  # the second time with a new process's eyes
            with door(world, server) as opened:
                assert ask(opened, 12) == [None] * 12
        assert server.count == 12


@says(LEDGER, "An answer that never came is a failure, not a score of zero.")
def a_failure_is_no_score(world: World) -> None:
    lost = Failure("server", "500")
    assert lost.judged is lost
    with closing(Ledger(world.tmp / "ledger.db")) as ledger:
        put_scores(ledger, "c", "test", 0, ["a", "b"], "choice@1", [lost, Score(0.0)]).result(9)
        assert [answer.value for answer in answers_of(ledger, "c", "test")] == [None, 0.0]


@says(
    LEDGER,
    "- A damaged file, or one that somebody changed: the history tells",
)
def damage_is_refused(world: World) -> None:
    shutil.copytree(world.run, world.tmp / "run")
    file = world.tmp / "run" / "ledger.db"
    data = file.read_bytes()
    assert data.count(b'"verdict": "') == 1
    file.write_bytes(data.replace(b'"verdict": "i', b'"verdict": "I'))
    message = world.refused("status", world.tmp / "run")
    assert "not a usable ledger" in message
    assert "meta changed by itself" in message


@says(LEDGER, "- A ledger of another version of metier: one line says so. (Version 10 today.)")
def another_version_is_refused(world: World) -> None:
    assert VERSION == 10
    shutil.copytree(world.run, world.tmp / "run")
    with closing(Ledger(world.tmp / "run" / "ledger.db")) as ledger:
        ledger.put_meta("version", 7)
    assert f"version 7, this metier writes {VERSION}" in world.refused("status", world.tmp / "run").splitlines()[0]


@says(RESUME, "Only one process works on a folder; a second is refused, or waits with `--wait`.")
def one_process_a_folder(world: World) -> None:
    with closing(Ledger(world.tmp / "ledger.db")), pytest.raises(LedgerError, match="another process"):
        Ledger(world.tmp / "ledger.db")


@says(RESUME, "A finished run is read, not repeated, so the last line above only prints its result again.")
def a_finished_run_is_read(world: World) -> None:
    asked = world.server.count
    done = world.metier("resume", world.run, "--quiet")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.lstrip().startswith(f"{world.result.verdict}: ")
    assert world.server.count == asked


@says(RESUME, "Everything else is refused with the difference, and so is a changed task or package:")
def another_seed_is_refused(world: World) -> None:
    assert f"config.seed: {SEED} → 3" in world.refused("run", world.config, "--set", "seed=3")


@says(RESUME, "A **finished** run goes on, too, if a limit is raised or taken away.")
def a_finished_run_is_extended(world: World) -> None:
    shutil.copytree(world.run, world.tmp / "run")
    done = world.metier("resume", world.tmp / "run", "--quiet", "--set", "search.trials=9")
    assert done.exit_code == 0, done.stderr
    with closing(Reader(world.tmp / "run" / "ledger.db")) as ledger:
        result = result_of(ledger)
    assert result is not None
    assert any(note.startswith("This run was extended after its test") for note in result.notes)


# --- privacy -------------------------------------------------------------------------------------------------------


@says(SECURITY, "Whatever an environment variable with KEY, TOKEN, SECRET or PASSWORD in its name holds")
def secrets_are_hidden(world: World) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for word in ("KEY", "TOKEN", "SECRET", "PASSWORD"):
            patch.setenv(f"MY_{word}_1", f"held-by-{word}")
            assert f"held-by-{word}" not in scrub(f"it is held-by-{word}.")


@says(SECURITY, "(modes 0700 and 0600)")
def files_are_private(world: World) -> None:
    assert world.run.stat().st_mode & 0o777 == 0o700
    modes = {file.name: file.stat().st_mode & 0o777 for file in world.run.iterdir()}
    assert set(modes.values()) == {0o600}, modes


@says(FILES, "A run's folder is `--run-dir`, or `runs/<time>-<task>-<id>`.")
def every_file_is_listed(world: World) -> None:
    listed = set(re.findall(r"`([\w.-]+)`", FILES.read_text(encoding="utf-8")))
    assert {file.name for file in world.run.iterdir()} <= listed


@says(SECURITY, "`metier tasks list` and `show` run none of it.")
def code_is_not_run(world: World) -> None:
    folder = make_task(world.tmp / "tasks" / "theirs", metric="python: metric.py:score", program="program.py:build")
    trace = str(world.tmp / "ran")
    for name in ("metric.py", "program.py"):
        (folder / name).write_text(f"import pathlib\n\npathlib.Path({trace!r}).touch()\n")
    for command in (("list", world.tmp / "tasks"), ("show", folder)):
        assert world.metier("tasks", *command).exit_code == 0
    assert not (world.tmp / "ran").exists()
    world.metier("tasks", "check", folder)
    assert (world.tmp / "ran").exists()


@says(SECURITY, "and code that it names are used only if you say so: `--trust` for `metier eval`, `check` and `export`")
def an_address_needs_trust(world: World) -> None:
    command = ("eval", world.folder / "task", "--prompt", world.run / "best.json")
    assert f"the address '{world.server.api_base}'" in world.refused(*command)
    asked = world.server.count
    assert world.metier(*command, "--trust").exit_code == 0
    assert world.server.count > asked


@says(SECURITY, "The report shows it as text: no script, no address, a policy that forbids both.")
def the_report_has_no_scripts(world: World) -> None:
    page = (world.run / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert not re.search(r"(src|href)=.?https?:", page)
    assert re.search(r"Content-Security-Policy[^>]*default-src 'none'", page)


@says(SECURITY, "in a terminal control characters are made visible.")
def a_terminal_is_not_obeyed(world: World) -> None:
    import click

    shown = click.Command("x", callback=lambda: echo("\x1b[2J\u202eab"))
    assert CliRunner().invoke(shown).stdout == "\\u001b[2J\\u202eab\n"


@says(SECURITY, "at least 1.83.10 is required. `constraints.txt` pins every package.")
def packages_are_pinned(world: World) -> None:
    assert '"litellm>=1.83.10"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.+-]+|#.*|", line) for line in lines)


@says(SECURITY, "**No pickle, no eval.** Only JSON and SQLite are read from a run's folder.")
def nothing_is_unpickled(world: World) -> None:
    for file in (ROOT / "optimizer").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
            assert not {"pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib"} & set(named), file
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            assert called not in ("eval", "exec"), file


@says(
    SHARED,
    "A file that is damaged, or was written by a newer metier, is reported, also with `--quiet`, and left alone.",
)
def a_damaged_cache_is_left_alone(world: World) -> None:
    file, messages = world.tmp / "answers.db", list[str]()
    file.write_bytes(damage := b"SQLite format 3\x00" + b"\xff" * 5_000)
    cache = SharedCache(file, messages.append)
    assert cache.find("key") is None
    cache.close()
    assert file.read_bytes() == damage
    assert len(messages) == 1
    assert "is not used" in messages[0]


@says(CODES, "Errors are one message on standard error, without a traceback.")
def errors_are_one_message(world: World) -> None:
    told = world.refused("run", world.tmp / "gone.yaml")
    assert told.count("Error: ") == 1


@says(CODES, "| 3 | stopped, because calls kept failing | mend the cause, then `metier resume` |")
def a_provider_that_is_down(world: World) -> None:
    with FakeServer(rule) as server:
        server.break_down(Fault("status", 401))
        data = settings(world.folder / "task", server.api_base, run_dir=str(world.tmp / "run"))
        done = world.metier("run", write_config(world.tmp / "run.yaml", data), "--quiet")
    assert done.exit_code == 3, done.stderr


@pytest.mark.parametrize(("page", "sentence", "check"), CASES, ids=[check.__name__ for _, _, check in CASES])
def test_it_is_so(page: Path, sentence: str, check: Check, world: World) -> None:
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert " ".join(sentence.split()) in text, f"{page.relative_to(ROOT)} does not say so any more: {sentence}"
    check(world)


def test_there_are_thirty_statements_of_many_pages() -> None:
    assert len(CASES) >= 30
    assert len({page for page, _, _ in CASES}) >= 8
    assert len({sentence for _, sentence, _ in CASES}) == len(CASES)
