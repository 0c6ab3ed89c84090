"""What a regulated team files of a run: data, models, versions, decisions, the verdict's evidence, and the history."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from optimizer.errors import ConfigError, LedgerError
from optimizer.evaluate.aggregate import aggregate_from
from optimizer.ledger.answers import answers_of
from optimizer.ledger.decisions import decisions_of
from optimizer.ledger.facts import MODELS, SOURCES, Reported, reported_models
from optimizer.ledger.history import Head
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import Report, best_of_run, result_of
from optimizer.ledger.schema import VERSION
from optimizer.report.audit_page import audit_document
from optimizer.report.markdown import report_md
from optimizer.system.files import is_file, output_folder, sha256_of, write_atomically
from optimizer.system.redact import scrub

NOT_STATED = "not stated"
SPLITS = ("train", "validation", "test")
METHOD = (
    "The scores of winner and seed are compared on the same test examples, which the search never saw. The verdict is "
    "'improved' where the 95 % interval of the mean difference lies above 0, 'worse' where it lies below, whatever the "
    "answers would have been that one of the two lacks. The interval is optimizer.evaluate.bounded.mean_interval, of "
    "which each end misses 3.5 % at most."
)


def write_audit(run_dir: Path, folder: Path | None = None, expected: str | None = None) -> tuple[dict[str, Any], Path]:
    """Write audit.json and audit.md of a run into a `folder`, by default its own; returns the audit and its page.

    See `audit_of` for what is `expected`, and the errors. Raises LedgerError also where a file cannot be written.
    """
    audit = audit_of(run_dir, expected)
    target = run_dir if folder is None else output_folder(folder)
    write_atomically(target / "audit.json", json.dumps(audit, ensure_ascii=False, indent=2) + "\n")
    page = target / "audit.md"
    write_atomically(page, report_md(audit_document(audit)))
    return audit, page


def audit_of(run_dir: Path, expected: str | None = None) -> dict[str, Any]:
    """Return the audit of a run as plain data, read from its ledger, whose history is verified before.

    `expected` is the hash of an entry, in hex, that was written down before. Raises LedgerError where the ledger is
    not what was written, or its history does not hold that entry; ConfigError where that is no hash.
    """
    if expected is not None and not re.fullmatch(r"[0-9a-f]{64}", expected := expected.strip().lower()):
        remedy = "Give the 64 digits that `metier audit` printed."
        raise ConfigError(f"'{expected:.80}' is no hash of a history", remedy)
    with closing(Reader(run_dir / "ledger.db")) as ledger, ledger.at_one_moment():
        head, entry = ledger.verify(expected)
        if expected is not None and entry is None:
            what = f"{run_dir}: no entry of its history has the hash {expected}"
            remedy = "It was written anew, cut, or is another run's: compare it with a copy from when that was filed."
            raise LedgerError(what, remedy)
        with ledger.decoding("what an audit shows"):
            return _content(ledger, _history(head, expected, entry))


def _content(ledger: Reader, history: Mapping[str, Any]) -> dict[str, Any]:
    identity, report, answered = ledger.meta("identity") or {}, result_of(ledger), reported_models(ledger)
    return {
        "run": _run(ledger, identity, report, answered),
        "history": history,
        "data": _data(ledger, identity),
        "models": ledger.meta(MODELS) or {},
        "answered_by": [{**asdict(one), "first": _time(one.first), "last": _time(one.last)} for one in answered],
        "attempts": [{**one, "started": _time(one["started"])} for one in ledger.meta("attempts") or ()],
        "decisions": [{**asdict(one), "time": _time(one.time)} for one in decisions_of(ledger)],
        "evidence": None if report is None else _evidence(ledger, report),
        "config": identity.get("config", {}),
    }


def _run(
    ledger: Reader, identity: Mapping[str, Any], report: Report | None, answered: Sequence[Reported]
) -> dict[str, Any]:
    task, attempts, tracking = identity.get("task", {}), ledger.meta("attempts"), ledger.meta("tracking")
    state = "finished" if report else "running" if ledger.is_being_written() else "interrupted"
    return {
        "run_id": ledger.meta("run_id") or "",
        "task": task.get("name", ""),
        "state": state,
        "begun": _time(attempts[0]["started"]) if attempts else None,
        "last_answer": _time(max(one.last for one in answered)) if answered else None,
        "mlflow": None if tracking is None else scrub(tracking["uri"]),
        "instruction": task.get("instruction", ""),
        "metric": task.get("metric", ""),
        "packages": identity.get("package", {}),
        "environment": identity.get("environment", {}),
    }


def _history(head: Head, expected: str | None, entry: int | None) -> dict[str, Any]:
    seen = None if entry is None else {"hash": expected, "entry": entry, "entries_since": head.entries - entry}
    return {"ledger_version": VERSION, "entries": head.entries, "head": head.hash, "expected": seen}


def _data(ledger: Reader, identity: Mapping[str, Any]) -> dict[str, Any]:
    sources = ledger.meta(SOURCES) or {"folder": None, "files": [], "hub": None, "licence": None}
    splits = {name: _split(identity.get("task", {}).get(name)) for name in SPLITS}
    files = [{**file, "now": _now(Path(sources["folder"], file["file"]), file["sha256"])} for file in sources["files"]]
    return {**sources, "files": files, "licence": sources["licence"] or NOT_STATED, "splits": splits}


def _split(fact: str | None) -> dict[str, Any] | None:
    """Return a split's size and digest, which the identity holds as "29 examples 0123456789abcdef"."""
    if fact is None:
        return None
    count, _, mark = fact.partition(" examples ")
    return {"examples": int(count), "digest": mark}


def _now(path: Path, sha256: str) -> str:
    """Return whether a file is still what had a digest, in hex."""
    if not is_file(path):
        return "not there"
    try:
        return "unchanged" if sha256_of(path) == sha256 else "changed"
    except OSError as problem:
        return f"cannot be read ({problem.strerror})"


def _evidence(ledger: Reader, report: Report) -> dict[str, Any]:
    result, sha256 = report.to_json(), hashlib.sha256((best_of_run(ledger) or "").encode()).hexdigest()
    shown = {
        name: {
            "candidate": side.candidate.id,
            "test_score": side.test_score,
            "test_ci95": list(side.test_ci95),
            "cut_answers": side.cut,
        }
        for name, side in (("seed", report.seed), ("winner", report.winner))
    }
    kept = ("verdict", "recommendation", "test_examples", "difference", "baselines", "notes", "trials", "lost_calls")
    return {
        **{name: result[name] for name in kept},
        "method": METHOD,
        **shown,
        "from_scores": _from_scores(ledger, report),
        "winner_prompt": {"sha256": sha256, "best.json": _now(ledger.path.parent / "best.json", sha256)},
    }


def _from_scores(ledger: Reader, report: Report) -> dict[str, Any]:
    """Return the difference as it follows from the single scores that the ledger holds, and if the result agrees.

    `only_seed` and `only_winner` count the examples that one of the two alone answered; `neither`, that none did.
    """
    seed, winner = (
        {answer.position: answer.score for answer in answers_of(ledger, side.candidate.id, "test")}
        for side in (report.seed, report.winner)
    )
    pairs = [(winner[position], seed[position]) for position in sorted(seed.keys() & winner.keys())]
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    ours, theirs = [a for a, _ in both], [b for _, b in both]
    same = report.seed.candidate.id == report.winner.candidate.id
    gain, ci95 = (0.0, (0.0, 0.0)) if same else aggregate_from(report.statistic).difference(ours, theirs)
    close = all(
        abs(a - b) < 1e-9 for a, b in zip((gain, *ci95), (report.difference, *report.difference_ci95), strict=True)
    )
    return {
        "examples": len(both),
        "only_seed": sum(a is None and b is not None for a, b in pairs),
        "only_winner": sum(a is not None and b is None for a, b in pairs),
        "neither": sum(a is None and b is None for a, b in pairs),
        "mean": gain,
        "ci95": list(ci95),
        "agrees": close and len(both) == report.test_examples,
    }


def _time(seconds: float) -> str:
    """Return a moment, in seconds since 1970, as ISO 8601 in UTC."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")
