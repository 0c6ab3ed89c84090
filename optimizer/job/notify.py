"""Tells a webhook how a run ended, or what a watch saw. What goes wrong there is said, and harms nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from optimizer.config.schema import Notify
from optimizer.errors import MetierError
from optimizer.job.watch import Watched
from optimizer.ledger.result import Report
from optimizer.system.loopback import bypass_proxies
from optimizer.system.redact import scrub

PATIENCE = 5.0  # seconds: the run is over, and its user may be waiting


def finished(report: Report) -> dict[str, object]:
    """Return the body for a run that finished; `text` is what Slack shows."""
    low, high = report.difference_ci95
    text = (
        f"{report.task}: {report.verdict}. {report.seed.test_score:.3f} → {report.winner.test_score:.3f} on "
        f"{report.test_examples} test examples ({report.difference:+.3f}, 95 % interval [{low:+.3f}, {high:+.3f}]); "
        f"${report.usage['usd'] + report.test_usage['usd']:.2f}, {report.seconds:.0f} s. {report.run_dir}"
    )
    return {
        "text": text,
        "event": "finished",
        "run_id": report.run_id,
        "task": report.task,
        "run_dir": str(report.run_dir),
        "verdict": report.verdict,
        "seed_score": report.seed.test_score,
        "winner_score": report.winner.test_score,
        "difference": report.difference,
        "difference_ci95": list(report.difference_ci95),
        "seconds": report.seconds,
    }


def stopped(task: str, run_dir: Path, problem: MetierError) -> dict[str, object]:
    """Return the body for a run that stopped before its end."""
    why = scrub(problem.what)
    text = f"{task}: stopped. {why}. Go on with `metier resume {run_dir}`."
    return {"text": text, "event": "stopped", "task": task, "run_dir": str(run_dir), "why": why}


def watched(result: Watched) -> dict[str, object]:
    """Return the body for a check that saw a change, or could not tell."""
    why = "; ".join(f"{sign.name}: {sign.message}" for sign in result.signs if sign.outcome != "holds")
    return {**result.to_json(), "text": scrub(f"{result.headline}. {why}"), "event": "watched"}


def notify(where: Notify, body: Mapping[str, object], say: Callable[[str], None]) -> bool:
    """Post a body as JSON to the configured webhook, if there is one, and return whether that is done.

    Never raises for what happens there.
    """
    url = where.url or os.environ.get(where.url_env or "")
    if not url:
        if where.url_env:
            say(f"The webhook was not told: {where.url_env} is not set.")
        return not where.url_env
    import httpx

    bypass_proxies()
    try:
        reply = httpx.post(url, json=dict(body), timeout=PATIENCE)
        problem = "" if reply.is_success else f"it answered {reply.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        problem = str(error) or type(error).__name__
    if problem:
        say(f"The webhook was not told ({scrub(problem)}).")
    return not problem
