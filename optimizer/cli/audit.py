"""`metier audit`: what a regulated team files of a run, and whether its history is whole."""

from __future__ import annotations

import json
from pathlib import Path

import click

from optimizer.cli.arguments import JSON, RUN_DIR
from optimizer.cli.text import echo


@click.command(short_help="Verify a run's history, and write what a team files.")
@RUN_DIR
@click.option("--expect", metavar="HASH", help="A head that was filed: it must be an entry of the history.")
@click.option("--out", metavar="FOLDER", type=click.Path(), help="Write them there; default: the run's own folder.")
@JSON
def audit(run_dir: Path, expect: str | None, out: str | None, as_json: bool) -> None:
    """Verify the history of the run in RUN_DIR (default: the newest), and write audit.json and audit.md.

    They tell the data with digests and licence, models and versions, what was decided by whom, the verdict's evidence,
    and the head of the history. Exit code 2: something was changed since it was written; the first entry that does not
    fit is named.

    \b
    Examples:
      metier audit runs/mine
      metier audit runs/mine --expect 3f0c… --out filed
    """
    from optimizer.report.audit import audit_of, write_audit

    if as_json:
        echo(json.dumps(audit_of(run_dir, expect), ensure_ascii=False, indent=2), whole=True)
        return
    content, page = write_audit(run_dir, None if out is None else Path(out), expect)
    history = content["history"]
    echo(f"whole: {history['entries']:,} entries")
    if (seen := history["expected"]) is not None:
        echo(f"as expected up to entry {seen['entry']:,}; added since: {seen['entries_since']:,}")
    echo(f"head: {history['head']}\n{page}", whole=True)
