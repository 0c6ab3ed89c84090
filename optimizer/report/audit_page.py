"""An audit as a page: what `report/audit.py` gathers, in sections, tables and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from optimizer.report.blocks import Block, Bullets, Code, Document, Section, Table, Text
from optimizer.report.clean import cell, visible
from optimizer.report.words import gain, headline, interval

HISTORY = (
    "Each change of a row in the ledger is an entry, bound to the one before it by SHA-256. All of them were read for "
    "this audit, and each fits. Keep the head elsewhere: `metier audit RUN_DIR --expect HEAD` then tells whether the "
    "history was written anew since. Without a head that was kept, nobody can tell."
)
WHERE, HEAD = ("model", "identity", "address", "sha256", "licence"), ("Role", "What", "Value")


def audit_document(audit: Mapping[str, Any]) -> Document:
    """Return the page of an audit, as `audit_of` returns it."""
    run, evidence, history = audit["run"], audit["evidence"], audit["history"]
    lead = f"Run {cell(run['run_id'])}: {run['state']}."
    advice = "It has no verdict yet."
    if evidence is not None:
        lead = f"Run {cell(run['run_id'])}: {evidence['verdict']}."
        advice = str(evidence["recommendation"])
    about = [
        ("state", run["state"]),
        ("begun", run["begun"] or "–"),
        ("last answer of a model", run["last_answer"] or "–"),
        ("metric", cell(run["metric"])),
        ("in MLflow", cell(run["mlflow"] or "no")),
    ]
    sections = [
        _history(history),
        *([_evidence(evidence)] if evidence is not None else []),
        _data(audit["data"]),
        _models(audit),
        _people(audit),
        Section("Settings", [Code("The config that the run was last accepted with", _yaml(audit["config"]), "yaml")]),
    ]
    seed = Code("The instruction that had to be beaten", visible(run["instruction"]))
    summary: list[Block] = [Table("The run", ("What", "Value"), about), seed]
    return Document(f"Audit of {cell(run['task'])}", lead, advice, sections, summary)


def _history(history: Mapping[str, Any]) -> Section:
    blocks: list[Block] = [
        Text(HISTORY),
        Table(
            "The history",
            ("What", "Value"),
            [
                ("entries", f"{history['entries']:,}"),
                ("head", f"`{history['head']}`"),
                ("ledger's version", str(history["ledger_version"])),
            ],
        ),
    ]
    if (seen := history["expected"]) is not None:
        blocks.append(
            Text(
                f"The hash that was expected, `{seen['hash']}`, is that of entry {seen['entry']:,}: all up to there is "
                f"as it was. Entries added since: {seen['entries_since']:,}."
            )
        )
    return Section("The history", blocks)


def _evidence(evidence: Mapping[str, Any]) -> Section:
    scores = evidence["from_scores"]
    agrees = "The result agrees with them." if scores["agrees"] else "THE RESULT DOES NOT AGREE WITH THEM."
    left_out = {
        "the winner has no answer": scores["only_seed"],
        "the seed has none": scores["only_winner"],
        "neither has one": scores["neither"],
    }
    counted = ", ".join(f"{count} where {why}" for why, count in left_out.items())
    sides = [(name, evidence[name]) for name in ("seed", "winner")]
    rows = [
        (
            name,
            f"`{side['candidate']}`",
            f"{side['test_score']:.3f}",
            interval(*side["test_ci95"]),
            str(side["cut_answers"]),
        )
        for name, side in sides
    ]
    recomputed = f"{scores['mean']:+.3f} {interval(*scores['ci95'], form='+.3f')} on {scores['examples']} examples"
    prompt = evidence["winner_prompt"]
    return Section(
        "The verdict and its evidence",
        [
            Text(f"{evidence['verdict']}: {headline(evidence)}"),
            Text(evidence["method"]),
            Table("Scores on the test examples", ("Prompt", "Candidate", "Score", "95 % interval", "Cut off"), rows),
            Text(f"From the single scores in the ledger it follows anew: {recomputed}. {agrees}"),
            Text(f"Left out of the difference: {counted}."),
            _baselines(evidence["baselines"]),
            Text(
                f"best.json, which holds the winner's prompt, has the SHA-256 `{prompt['sha256']}` in the ledger; the "
                f"file beside it: {prompt['best.json']}."
            ),
            *([Bullets([visible(note) for note in evidence["notes"]])] if evidence["notes"] else []),
        ],
    )


def _baselines(baselines: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            cell(one["name"]),
            f"{one['test_score']:.3f} {interval(*one['test_ci95'])}",
            f"{one['winner_score']:.3f}",
            gain(one["difference"]),
            str(one["examples"]),
            str(one["cut_answers"]),
        )
        for one in baselines
    ]
    head = ("Without a search", "Score", "Winner's", "Winner's difference", "Examples", "Cut off")
    return Table("Baselines", head, rows, "No baseline was measured.")


def _data(data: Mapping[str, Any]) -> Section:
    splits = [
        (name, f"{one['examples']:,}", f"`{one['digest']}`") for name, one in data["splits"].items() if one is not None
    ]
    files = [
        (cell(one["file"]), cell(one["use"]), f"{one['size']:,}", f"`{cell(one['sha256'])}`", one["now"])
        for one in data["files"]
    ]
    head = ("File", "Used as", "Bytes", "SHA-256", "Today")
    held = "No file: the task was held in memory, and the digests of its splits are what is known of it."
    origin = f"The data set `{cell(data['hub'])}` of the Hugging Face hub. " if data["hub"] else ""
    if "database" in data:
        origin = f"The rows of a query of a database, `{cell(data['database'])}`. "
    if "traces" in data:
        origin = _traces(data["traces"])
    return Section(
        "Data",
        [
            Text(f"{origin}Licence: {cell(data['licence'])}."),
            Table("Files of the task, as the run was begun", head, files, held),
            Table("Splits; a digest changes with any example", ("Split", "Rows", "Digest"), splits),
        ],
    )


def _traces(traces: Mapping[str, Any]) -> str:
    bounds = [f"{name} `{cell(traces[name])}`" for name in ("filter", "since", "until") if traces[name] is not None]
    chosen = f" ({', '.join(bounds)})" if bounds else ""
    return (
        f"{traces['traces']:,} of {traces['looked_through']:,} traces of the experiment `{cell(traces['experiment'])}` "
        f"of the MLflow `{cell(traces['mlflow'])}`{chosen}, as they were at {cell(traces['as_of'])}; the newest is of "
        f"{cell(traces['newest'])}; the digest of their ids is `{cell(traces['digest'])}`. "
    )


def _models(audit: Mapping[str, Any]) -> Section:
    models = audit["models"].items()
    rows = [(cell(role), key, cell(one[key])) for role, one in models for key in WHERE if key in one]
    files = [
        (cell(role), cell(file), f"`{cell(sha256)}`")
        for role, one in models
        for file, sha256 in one.get("published", {}).items()
    ]
    answered = [
        (
            cell(one["role"]),
            cell(one["model"] or "not reported"),
            f"{one['calls']:,}",
            f"{one['recalled']:,}",
            one["first"],
            one["last"],
        )
        for one in audit["answered_by"]
    ]
    attempts = audit["attempts"]
    packages = [(cell(name), cell(version)) for name, version in (attempts[-1]["versions"] if attempts else {}).items()]
    around = [(cell(name), cell(value)) for name, value in audit["run"]["environment"].items()]
    return Section(
        "Models and versions",
        [
            Table("Models; sha256 is that of the file that is served", HEAD, rows, "No model was asked."),
            *(
                [Table("Files that metier's catalogue names for them", ("Role", "File", "SHA-256"), files)]
                if files
                else []
            ),
            Table(
                "As which model the provider said that it answered",
                ("Role", "Model", "Calls", "From the shared cache", "First", "Last"),
                answered,
                "No call was answered.",
            ),
            Table("Versions, of the last attempt", ("Package", "Version"), packages),
            *([Table("Variables that decide where models answer", ("Name", "Value"), around)] if around else []),
        ],
    )


def _people(audit: Mapping[str, Any]) -> Section:
    attempts = [
        (one["started"], cell(one["user"]), cell("{metier}, Python {python}".format(**one["versions"])))
        for one in audit["attempts"]
    ]
    decisions = [(one["time"], cell(one["user"]), cell(one["what"]), _text(one["value"])) for one in audit["decisions"]]
    return Section(
        "Who worked on it, and what was decided",
        [
            Table("Attempts", ("Time", "User", "With metier"), attempts, "None."),
            Table("Decisions", ("Time", "User", "What", "Details"), decisions, "No decision was made."),
        ],
    )


def _text(value: object) -> str:
    """Return a value as one line of text, lists and maps by their parts."""
    if isinstance(value, Mapping):
        if set(value) == {"key", "was", "now"}:  # a change
            return f"{cell(value['key'])}: {_text(value['was'])} → {_text(value['now'])}"
        return "; ".join(f"{cell(name)}: {_text(part)}" for name, part in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " / ".join(map(_text, value))
    return cell("none" if value is None else value)


def _yaml(config: Mapping[str, Any]) -> str:
    text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    return visible(text)
