"""Whose run a ledger is: the config, task and packages it was begun with, and which may change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimizer.errors import LedgerError

_LONGEST = 60
_ABSENT = "(absent)"


@dataclass(frozen=True)
class Change:
    """One key whose value is no longer what the run was begun with."""

    key: str
    was: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.key}: {_short(self.was)} → {_short(self.now)}"


def _any(was: Any, now: Any) -> bool:
    return True


def _grown(was: Any, now: Any) -> bool:
    """Tell if a limit was raised, or taken away."""
    return now is None or (was is not None and now >= was)


# What may change under --accept-changes: none of it changes what a call answers or how an answer is scored.
HARMLESS: dict[str, Callable[[Any, Any], bool]] = {
    "config.search.trials": _grown,
    "config.budget.calls": _grown,
    "config.budget.tokens": _grown,
    "config.budget.usd": _grown,
    "config.budget.seconds": _grown,
    "config.budget.until": _any,
    "config.cache": _any,
    "config.judge": _any,
    "config.failures": _any,
    "config.tracking": _any,
    "config.privacy.mlflow": _any,
    "config.models.batch": _any,
    "config.models.concurrency": _any,
    "config.models.timeout": _any,
    **{f"config.models.{role}.{key}": _any for role in ("task", "prompt", "judge") for key in ("api_key_env", "price")},
}


def changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Return the keys, dotted, whose values differ."""
    before, after = dict(_flat(was)), dict(_flat(now))
    keys = sorted({*before, *after})
    pairs = [Change(key, before.get(key, _ABSENT), after.get(key, _ABSENT)) for key in keys]
    return [change for change in pairs if change.was != change.now]


def is_harmless(change: Change) -> bool:
    """Tell if a run can go on in spite of a change."""
    for key, rule in HARMLESS.items():
        if change.key == key or change.key.startswith(f"{key}."):
            return rule(change.was, change.now)
    return False


def extends(changes: list[Change]) -> bool:
    """Tell if changes let a finished run go on: they are harmless, and a limit is among them."""
    limits = ("config.search.trials", "config.budget.")
    return all(map(is_harmless, changes)) and any(change.key.startswith(limits) for change in changes)


def check_changes(run_dir: Path, changes: list[Change], *, accept: bool, finished: bool) -> None:
    """Raise LedgerError with the difference, unless every change is harmless and accepted."""
    if not changes:
        return
    harmful = [change for change in changes if not is_harmless(change)]
    lines = "".join(f"\n    {change}" for change in changes)
    what = f"{run_dir}: this run was begun otherwise:{lines}"
    if finished:
        remedy = (
            f"It is finished: give another --run-dir. More of a limit continues it: metier resume {run_dir} --set …"
        )
        raise LedgerError(what, remedy)
    if harmful:
        keys = ", ".join(change.key for change in harmful)
        raise LedgerError(what, f"Give another --run-dir, or undo the change of {keys}.")
    if not accept:
        raise LedgerError(what, "These are harmless: go on with --accept-changes, or undo them.")


def _flat(data: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
