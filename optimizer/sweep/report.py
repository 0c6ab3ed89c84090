"""Writes a sweep's report: a page, Markdown, and every cell as a row of a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimizer.report.html import report_html
from optimizer.report.markdown import report_md
from optimizer.sweep.document import document_of
from optimizer.sweep.ledger import CellRecord
from optimizer.sweep.results import Results, value_text
from optimizer.system.files import private_file, write_atomically

if TYPE_CHECKING:
    import pandas as pd

FILES = PAGE, MARKDOWN, CSV, PARQUET = "report.html", "report.md", "cells.csv", "cells.parquet"


def make_sweep_report(folder: Path) -> Path:
    """Write the report of a sweep into its folder, however far it came, and return the page's path.

    The same ledger gives the same files. Raises LedgerError where no sweep lies, or where nothing can be written.
    """
    results = Results.read(folder)
    document = document_of(results)
    write_atomically(folder / MARKDOWN, report_md(document))
    write_atomically(folder / PAGE, report_html(document))
    table = cells_table(results)
    write_atomically(folder / CSV, table.to_csv(index=False))
    draft = private_file(folder / f".{PARQUET}.draft")
    table.to_parquet(draft, index=False)
    draft.replace(folder / PARQUET)
    return folder / PAGE


def cells_table(results: Results) -> pd.DataFrame:
    """Return one row a cell: its values, how it stands, and all figures of its run."""
    import pandas as pd

    return pd.DataFrame([_row(one) for one in results.cells])


def _row(record: CellRecord) -> dict[str, Any]:
    values = {key: value_text(value) for key, value in record.cell.values.items()}
    data: Mapping[str, Any] = record.outcome or {}
    seed, winner, gain = (data.get(name, {}) for name in ("seed", "winner", "difference"))
    spent = data.get("spent", {})
    return {
        "cell": record.cell.name,
        **values,
        "state": record.state,
        "message": record.message,
        "verdict": data.get("verdict"),
        "metric": data.get("metric"),
        "test_examples": data.get("test_examples"),
        "seed_score": seed.get("score"),
        **_ends("seed", seed),
        "winner_score": winner.get("score"),
        **_ends("winner", winner),
        "validation_score": winner.get("validation_score"),
        "difference": gain.get("mean"),
        **_ends("difference", gain),
        "winner_candidate": winner.get("candidate"),
        "winner_prompt": winner.get("prompt"),
        "winner_tokens_per_call": winner.get("tokens_per_call"),
        "search_calls": spent.get("calls"),
        "asked_calls": data.get("asked"),
        "search_tokens": spent.get("tokens"),
        "test_calls": data.get("test_calls"),
        "usd": spent.get("usd"),
        "seconds": data.get("seconds"),
        "recalled_calls": data.get("recalled"),
        "lost_calls": data.get("lost"),
        "trials": sum(data["trials"].values()) if "trials" in data else None,
        "run_id": data.get("run_id"),
        "plays": record.plays,
    }


def _ends(name: str, side: Mapping[str, Any]) -> dict[str, float | None]:
    low, high = side.get("ci95", (None, None))
    return {f"{name}_low": low, f"{name}_high": high}
