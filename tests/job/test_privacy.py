"""Personal data in a whole run: none that is recognized leaves, what comes back is whole, and all of it is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.jobs import lighten, make_task, settings, write_config

from optimizer import load_prompt
from optimizer.cli.main import cli
from optimizer.config.load import load_config
from optimizer.config.models import ModelConfig
from optimizer.config.schema import Privacy
from optimizer.errors import ConfigError, LedgerError
from optimizer.job.dry import dry
from optimizer.job.run import run_config
from optimizer.ledger.identity import Change, is_harmless
from optimizer.ledger.reader import Reader
from optimizer.models.personal import Recognizers
from optimizer.prompt.saved import dump_prompt
from optimizer.task.load import load_task
from optimizer.testing.fake_server import FakeServer, Messages, text_of
from optimizer.types import Candidate, Prompt

REDACT = ["email", "phone", "iban", "credit_card", "ip"]
FIND = Recognizers(Privacy(redact=tuple(REDACT)))
# The label is the address itself, so that nothing is right before the answers have their data again.
ROWS = [
    {
        "text": f"case {number}: write to p{number}@example.org or call +49 30 9018{number}, not <EMAIL_1>",
        "mail": f"p{number}@example.org",
    }
    for number in range(10, 70)
]
PRIVACY = {"redact": REDACT, "local": True}


def answer(messages: Messages) -> str:
    """Copy the address of the last message, as a model that follows would; write an instruction that quotes one."""
    text = text_of(messages[-1])
    if "write to" in text and "Present instruction" not in text and "<example>" not in text:
        return re.findall(r"write to (\S+)", text)[-1]
    return f"Copy the address that follows 'write to', such as {re.findall(r'<EMAIL_[0-9]+>', text)[-1]}."


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    lighten(monkeypatch.setattr)
    with FakeServer(answer) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, server: FakeServer) -> Callable[..., Path]:
    task = make_task(
        tmp_path / "task",
        ROWS,
        outputs={"mail": {}},
        metric="exact_match",
        instruction="Name boss@example.org, or who?",
    )

    def make(**changes: Any) -> Path:
        models = {"task": "openai/fake", "prompt": "openai/fake", "api_base": server.api_base, "concurrency": 4}
        search = {**settings(task)["search"], "trials": 12, "proposers": ["grounded", "reflect", "induce"]}
        data = settings(task, models=models, search=search, budget={"calls": 90}, run_dir=str(tmp_path / "out"))
        return write_config(tmp_path / "run.yaml", {**data, "privacy": PRIVACY, **changes})

    return make


def sent(server: FakeServer) -> str:
    return "\n".join(text_of(message) for body in server.requests for message in body["messages"])


def test_a_run_sends_no_personal_data_and_its_prompt_answers_with_them(
    config: Any, server: FakeServer, tmp_path: Path
) -> None:
    report = run_config(config())
    roles = {role for role, count in report.usage["calls"].items() if count}
    assert roles == {"task", "prompt"}
    assert "<EMAIL_2>" in sent(server)
    assert [sent(server)[start:end] for start, end, _ in FIND(sent(server))] == []
    assert "example.org" not in sent(server)
    assert report.seed.test_score == 1.0  # right only where the address is back before the metric reads it

    # Told: in the ledger, the status, the report, and the file of the prompt.
    with closing(Reader(tmp_path / "out" / "ledger.db")) as ledger:
        requests = " ".join(row["request"] + (row["response"] or "") for row in ledger.read("SELECT * FROM calls"))
        answers = [row["answer"] for row in ledger.read("SELECT * FROM scores") if row["answer"]]
    assert "example.org" not in requests
    assert "example.org" in " ".join(answers)
    note = next(text for text in report.notes if text.startswith("personal data was masked in what was sent: "))
    assert re.search(r"[\d,]+ × email, [\d,]+ × phone in (\d+) of \1 requests", note)
    shown = CliRunner().invoke(cli, ["status", str(report.run_dir)]).stdout
    assert f"  masked    {note.partition(': ')[2]}\n" in shown
    assert json.loads((report.run_dir / "best.json").read_text())["privacy"]["redact"] == REDACT

    # A run with other masks is another run.
    with pytest.raises(LedgerError, match=r"config.privacy.redact: \['email'"):
        run_config(config(privacy={**PRIVACY, "redact": ["email"]}))
    assert is_harmless(Change("config.privacy.mlflow", False, True))

    # Kept: by who calls, checks, evaluates and exports the prompt.
    server.requests.clear()
    prompt = load_prompt(report.run_dir / "best.json", trust=True)
    assert prompt(text="write to new@example.org at once").mail == "new@example.org"
    arguments = [str(report.run_dir / "best.json"), "--task", str(tmp_path / "task"), "--min", "0.5", "--trust"]
    assert CliRunner().invoke(cli, ["check", *arguments]).exit_code == 0
    arguments = [str(tmp_path / "task"), "--prompt", str(report.run_dir / "best.json"), "--trust"]
    assert CliRunner().invoke(cli, ["eval", *arguments]).stdout.startswith("1.000")
    assert server.count > 40
    assert FIND(sent(server)) == []
    exported = CliRunner().invoke(cli, ["export", str(report.run_dir), "--to", "text", "--trust"])
    assert "this form masks nothing" in exported.stderr


def test_a_check_masks_for_the_other_prompt_too_whatever_its_file_says(
    config: Any, server: FakeServer, tmp_path: Path
) -> None:
    model = ModelConfig(model="openai/fake", api_base=server.api_base)
    other = Candidate({"predict": Prompt("Copy the address.")}, "seed")
    (tmp_path / "old.json").write_text(dump_prompt(load_task(tmp_path / "task"), other, model, {}))
    arguments = ["check", str(config()), "--against", str(tmp_path / "old.json"), "--margin", "0.2", "--trust"]
    done = CliRunner().invoke(cli, arguments)
    assert (done.exit_code, done.exception) == (0, None), done.output
    assert "Copy the address." in sent(server)
    assert FIND(sent(server)) == []


def test_a_dry_run_shows_the_request_masked(config: Any, server: FakeServer) -> None:
    text = dry(load_config(config())).text()
    assert "masked: email, phone, iban, credit_card, ip" in text
    shown = text.partition("One request")[2]
    assert "<EMAIL_2>" in shown
    assert "example.org" not in shown
    assert server.count == 0


def test_a_model_on_this_machine_is_sent_all_unless_that_is_masked_too(config: Any, server: FakeServer) -> None:
    report = run_config(config(privacy={"redact": REDACT}))
    assert "p10@example.org" in sent(server) or "p11@example.org" in sent(server)
    assert any("masked in what was sent: nothing in" in note for note in report.notes)


def test_an_mlflow_elsewhere_is_refused_before_it_has_the_data(config: Any, server: FakeServer, tmp_path: Path) -> None:
    elsewhere = {"mlflow": {"uri": "https://mlflow.example.org"}}
    with pytest.raises(ConfigError, match="MLflow on another machine would have the examples"):
        run_config(config(tracking=elsewhere))
    assert server.count == 0
    allowed = config(tracking=elsewhere, privacy={**PRIVACY, "mlflow": True})
    assert [one.here for one in dry(load_config(allowed)).receivers if one.name == "MLflow"] == [False]


def test_names_are_refused_by_name(config: Any) -> None:
    done = CliRunner().invoke(cli, ["run", str(config(privacy={"redact": ["person"]}))])
    assert done.exit_code == 2
    assert "names have no form to know them by" in done.output
