"""The table of rooms and their arrows, what lies at the top, and what `import optimizer` costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "optimizer").rglob("*.py"))
COMMON = {"errors", "system", "types"}
# Room → the rooms that it may import, in the way of the data; errors, types and system may be imported by all.
MAY_IMPORT: dict[str, set[str]] = {
    "types": set(),
    "errors": {"types"},
    "system": set(),
    "config": set(),
    "ledger": set(),
    "models": {"config"},
    "door": {"config", "ledger", "models"},
    "task": {"config"},
    "prompt": {"task", "config", "models"},
    "propose": {"config", "door", "prompt", "task"},
    "evaluate": {"prompt", "task", "door", "ledger"},
    "search": {"propose", "evaluate", "prompt", "task", "config", "ledger"},
    # DSPy's own optimizers in the place of the search.
    "teleprompt": {"door", "evaluate", "ledger", "prompt", "search", "task"},
    "track": {"ledger"},
    "report": {"evaluate", "ledger"},
    # A prompt for other tools: rendered by a door that answers nothing.
    "export": {"config", "door", "models", "prompt", "task"},
    # What a run will take: arithmetic, and the lengths of its prompts.
    "forecast": {"config", "models", "door", "prompt", "propose", "evaluate", "search", "task", "teleprompt"},
}
# The room that wires, and those above it.
MAY_IMPORT["job"] = set(MAY_IMPORT) - COMMON
MAY_IMPORT["interop"] = MAY_IMPORT["job"] | {"job"}
MAY_IMPORT["sweep"] = MAY_IMPORT["job"] | {"job"}
MAY_IMPORT["cli"] = MAY_IMPORT["job"] | {"job", "sweep"}
MAY_IMPORT["testing"] = MAY_IMPORT["job"]
MAY_IMPORT["__init__"] = MAY_IMPORT["job"] | {"job"}
MAY_IMPORT["__main__"] = {"cli"}
# What breaks the table today, to be mended: (file, room). An entry that is no longer true fails.
KNOWN_BREACHES: set[tuple[str, str]] = set()
HEAVY = (
    *("dspy", "mlflow", "optuna", "torch", "numpy", "pydantic"),
    *("jsonschema", "nltk", "py3langid", "referencing", "regex", "rouge_score", "sacrebleu"),
)


def room_of(file: Path) -> str:
    return file.relative_to(ROOT / "optimizer").with_suffix("").parts[0]


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield each module of ours that is imported anywhere in a file, function bodies included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield str(node.module)
            if node.module == "optimizer":
                yield from (f"optimizer.{alias.name}" for alias in node.names)


def rooms_imported_by(file: Path) -> set[str]:
    modules = [name.split(".") for name in imported(ast.parse(file.read_text(encoding="utf-8")))]
    return {parts[1] for parts in modules if parts[0] == "optimizer" and len(parts) > 1} - {"__version__"}


def breaches() -> set[tuple[str, str]]:
    found = set()
    for file in FILES:
        room = room_of(file)
        for other in rooms_imported_by(file) - COMMON - {room} - MAY_IMPORT[room]:
            found.add((file.relative_to(ROOT / "optimizer").as_posix(), other))
    return found


def test_every_room_is_in_the_table() -> None:
    assert {room_of(file) for file in FILES} <= set(MAY_IMPORT)
    assert len(FILES) > 50


def test_a_room_imports_only_what_the_table_allows() -> None:
    assert sorted(breaches() - KNOWN_BREACHES) == []


def test_the_known_breaches_are_still_there() -> None:
    present = {(file, room) for file, room in KNOWN_BREACHES if (ROOT / "optimizer" / file).exists()}
    assert sorted(present - breaches()) == [], "mended: take it out of KNOWN_BREACHES"


def test_at_the_top_lie_only_rooms_and_what_everybody_needs() -> None:
    top = {path.name for path in (ROOT / "optimizer").iterdir() if path.name != "__pycache__"}
    rooms = {name for name in top if (ROOT / "optimizer" / name).is_dir()}
    assert top - rooms == {"__init__.py", "__main__.py", "errors.py", "types.py", "py.typed"}
    assert len(rooms) <= 20


def test_the_job_room_knows_its_types() -> None:
    """Nothing is typed `Any` there for want of a protocol, and nothing is ignored anywhere for want of an attribute."""
    for file in (ROOT / "optimizer" / "job").glob("*.py"):
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        signatures = [f"{ast.unparse(f.args)} -> {f.returns and ast.unparse(f.returns)}" for f in functions]
        assert [text for text in signatures if re.search(r"\bAny\b", text)] == [], file.name
    ignored = [file.name for file in FILES if "ignore[attr-defined]" in file.read_text(encoding="utf-8")]
    assert ignored == []


def test_types_imports_nothing_of_ours_and_errors_only_types() -> None:
    assert rooms_imported_by(ROOT / "optimizer" / "types.py") == set()
    assert rooms_imported_by(ROOT / "optimizer" / "errors.py") == {"types"}


def test_the_table_itself_has_no_circle() -> None:
    """The rooms can be put in an order in which each imports only earlier ones."""
    waiting = {room: may & set(MAY_IMPORT) - COMMON for room, may in MAY_IMPORT.items()}
    while waiting:
        free = {room for room, may in waiting.items() if not may & set(waiting)}
        assert free, f"a circle among {sorted(waiting)}"
        waiting = {room: may for room, may in waiting.items() if room not in free}


@pytest.mark.parametrize("module", ["optimizer", "optimizer.cli.main"])
def test_the_import_is_light(module: str) -> None:
    code = f"import sys, {module}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_the_public_names_can_be_had_and_others_cannot() -> None:
    import optimizer

    for name in optimizer.__all__:
        assert callable(getattr(optimizer, name))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = optimizer.nonsense
