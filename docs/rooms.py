"""CONTRIBUTING's table of rooms, made from `MAY_IMPORT`: `python docs/rooms.py` writes it into the page."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- rooms: begin (python docs/rooms.py) -->", "<!-- rooms: end -->"
# What a newcomer finds there. A room without a sentence here has its package's docstring.
SENTENCES = {
    "types": "The frozen values that travel between the rooms: Example, Prompt, Candidate, Score, Failure, Usage.",
    "errors": "Every exception raised on purpose, each with its exit code.",
    "system": "Secrets kept out of what is written, files written whole, child processes, containment of code.",
    "config": "A run's YAML: its keys and defaults (`schema.py`), `--set`, the strategies' presets.",
    "ledger": "`ledger.db` of a run: all SQL, version and history, resume's identity check, the cache between runs.",
    "models": "Where models come from and how they are reached: catalogue, store, embedded server, providers, prices.",
    "door": "The one way to a model: cache, budget, retries, pace, circuit breaker, metering.",
    "task": "task.yaml to Task: fields, data files, splits, metrics, the user's own functions.",
    "prompt": "A candidate as a program: formats, demos, `best.json`; text in the data that gives orders.",
    "propose": "Who writes new instructions and demo sets, and the texts that they ask a model with.",
    "evaluate": "Candidates over examples; intervals and other statistics.",
    "search": "Space, sampler, race, board, schedule, the loop; winner, verdict, baselines.",
    "teleprompt": "Other libraries' optimizers as strategies of a run: DSPy's, gepa's, promptolution's.",
    "track": "MLflow: the mirror's process, the registry, `metier ui`.",
    "report": "result.json, report.html, best.md, status, comparisons and audits, all read from the ledger.",
    "export": "A prompt as other tools hold it: one form a target.",
    "forecast": "What a run will take, before it runs.",
    "job": "What each command does: run, resume, estimate, eval, check, migrate, export; the run's folder.",
    "sweep": "Many runs from one file: cells, shares of a budget, the processes that play them, their report.",
    "interop": "metier as a teleprompter of DSPy (`PromptSearch`).",
    "cli": "Click commands: they parse, call and print.",
    "testing": "Shipped for tests: a fake provider with faults, conformance suites, crash points.",
    "__init__": "The names that `import optimizer` offers, loaded on first use.",
}
COMMON = ("types", "errors", "system")


def may_import() -> dict[str, set[str]]:
    """Return the table that `tests/test_imports.py` enforces."""
    sys.path.insert(0, str(ROOT / "tests"))
    import test_imports

    return test_imports.MAY_IMPORT


def table() -> str:
    """Return the table as Markdown, low rooms first."""
    rooms = may_import()
    lines = ["| Room in `optimizer/` | What lives there | May import |", "|---|---|---|"]
    for room in _low_first(rooms):
        folder = ROOT / "optimizer" / room
        name = f"`{room}/`" if folder.is_dir() else f"`{room}.py`"
        lines.append(f"| {name} | {SENTENCES.get(room) or _docstring(folder)} | {_arrows(room, rooms)} |")
    return "\n".join(lines)


def written(text: str) -> str:
    """Return a page with the table as it must be. Raises ValueError where the page has no place for it."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or not after:
        raise ValueError(f"{PAGE.name} has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _low_first(rooms: dict[str, set[str]]) -> list[str]:
    """Return the rooms so that each comes after all that it may import; a file of commands only is left out."""
    order: list[str] = []
    waiting = [room for room in rooms if room != "__main__"]
    while waiting:
        free = [room for room in waiting if rooms[room] - {room} <= set(order) | (set(COMMON) - set(waiting))]
        order += free or waiting
        waiting = [room for room in waiting if room not in order]
    return order


def _arrows(room: str, rooms: dict[str, set[str]]) -> str:
    allowed = rooms[room]
    if room in COMMON:
        return ", ".join(sorted(allowed)) or "nothing of ours"
    if not allowed:
        return "–"
    everything = set(rooms) - {room, "__main__", "__init__", "interop", "cli", "testing", "job", "sweep", *COMMON}
    if everything <= allowed:
        above = sorted(allowed - everything - set(COMMON) - {room})
        return ", ".join(["all rooms above", *above])
    return ", ".join(sorted(allowed - set(COMMON)))


def _docstring(folder: Path) -> str:
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").splitlines()[0]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
