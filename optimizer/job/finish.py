"""The end of a run: the result enters the ledger, and every file is made from there."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from optimizer.config.models import ModelConfig
from optimizer.config.schema import RunConfig
from optimizer.errors import LedgerError
from optimizer.job.study import write_study
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report, best_of_run, put_result, result_of
from optimizer.ledger.sent import prompt_as_sent
from optimizer.prompt.saved import dump_prompt
from optimizer.report.files import write_reports
from optimizer.report.markdown import best_md
from optimizer.report.result import write_result
from optimizer.system.files import write_atomically
from optimizer.system.redact import without_credentials
from optimizer.types import task_key

if TYPE_CHECKING:
    from optimizer.job.session import Session

FILES = ("best.json", "best.md", "report.md", "report.html", "result.json", "study.db")


def limit_key(model: str) -> str:
    """Return the name under which the ledger holds how many tokens an answer of a task model might have."""
    return f"answer_limit {model}".strip()


def finish(session: Session, report: Report) -> None:
    """Write the winner's prompt and the result into the ledger: from then on the run is finished."""
    note = {"run_id": report.run_id, "verdict": report.verdict, "test_score": report.winner.test_score}
    asked = report.winner.candidate.model
    model, privacy = model_of(session.config, session.ledger, asked), session.config.privacy
    sha256 = session.models.endpoints[task_key(asked)].sha256
    prompt = dump_prompt(session.task, report.winner.candidate, model, note, privacy, sha256)
    put_result(session.ledger, report, prompt)
    write_files(session.ledger)


def write_files(ledger: Ledger, names: Collection[str] = FILES) -> None:
    """Write files of a finished run anew, from its ledger alone."""
    report, prompt, run_dir = read_report(ledger), best_of_run(ledger), ledger.path.parent
    if "best.json" in names and prompt is not None:
        write_atomically(run_dir / "best.json", prompt)
    if "best.md" in names:
        write_atomically(run_dir / "best.md", best_md(report, prompt_as_sent(ledger, report.winner.candidate.id)))
    if {"report.md", "report.html"} & set(names):
        write_reports(ledger, run_dir)
    write_result(report)
    if "study.db" in names:
        write_study(run_dir)


def finished_report(ledger: Ledger) -> Report:
    """Return the report of a finished run; files that a kill left out are written."""
    if missing := [name for name in FILES if not (ledger.path.parent / name).is_file()]:
        write_files(ledger, missing)
    return read_report(ledger)


def read_report(ledger: Ledger) -> Report:
    """Return the report of a finished run; raises LedgerError for any other."""
    report = result_of(ledger)
    if report is None:
        raise LedgerError(f"{ledger.path.parent}: the run has no result yet", "Let it finish with `metier resume`.")
    return report


def model_of(config: RunConfig, ledger: Reader | None = None, name: str = "") -> ModelConfig:
    """Return a task model as a saved prompt holds it: with its address, without credentials.

    With the `ledger` of a run it has the limit on answers under which the prompts were scored. `name` is the model's as
    a candidate has it: "" is the first one.
    """
    model = config.models.by_key[task_key(name)]
    limit = model.max_tokens or (None if ledger is None else ledger.meta(limit_key(name)))
    return model.model_copy(update={"api_base": without_credentials(model.api_base), "max_tokens": limit})
