"""Runs an answer and its tests; for a contained process, which has the standard library alone.

An answer runs in the same Python as its tests, because tests compare objects. It cannot leave the process; within it,
these ways to look right are shut: to end the process, to write what looks like a report, to change a function of
`builtins` or of a module that the tests import, to return something that is equal to everything. Code that sets out to
find and change this harness in memory can.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.abc
import importlib.util
import reprlib
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, ModuleType, TracebackType
from typing import Any

ANSWER, TESTS = "answer", "tests"
# Characters of a remark's parts; items of a value that are looked at.
_WIDTH, _LOOKED_AT = 200, 1000
_UNIT, _HONEST = "__unit__", "__honest__"
_PLAIN = (int, float, complex, str, bytes, bool, type(None), type)
_DECOY = object()


def run(job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield which tests an answer passed, `passed`, in their order, and what the first failures say, `remarks`."""
    yield verdict(job["answer"], job["tests"])


def verdict(source: str, tests: str) -> dict[str, Any]:
    """Run an answer and its tests in this process, and return what `run` yields."""
    harness = _Harness(tests)
    harness.keep_modules()
    answer = _Loader(ANSWER, source)
    try:
        module = answer.module()
        sys.modules[ANSWER] = module
        answer.exec_module(module)
    except BaseException as problem:  # noqa: BLE001 - whatever an answer raises, SystemExit too
        return {"passed": [False] * len(harness.names), "remarks": [f"the answer {_raised(problem, answer)}"]}
    # A name of builtins stays what it is to the tests; `answer.sum` is the answer's.
    hidden = {name for name in vars(module) if name.startswith("__") or hasattr(builtins, name)}
    return harness.verdict({name: value for name, value in vars(module).items() if name not in hidden})


def names_of(tests: str) -> list[str]:
    """Return what each test is called, in order: a `test_` function, else its line. Raises SyntaxError, ValueError.

    A test is a statement outside of functions that holds an assert, a call there of a function that the tests define,
    and each `test_` function.
    """
    tree = ast.parse(tests)
    return [f"line {node.lineno}" for node in _units(tree)] + _functions(tree)


class _Harness:
    """The tests, compiled before the answer runs, with builtins of their own."""

    def __init__(self, tests: str) -> None:
        self.names, self._source = names_of(tests), tests
        tree = ast.parse(tests)
        self._functions, units = _functions(tree), _units(tree)
        for name in _imports(tree):
            importlib.import_module(name)
        self._statements = len(units)
        self._results = dict.fromkeys(self.names, False)
        self._remarks: list[str] = []
        self._compared: list[Any] = []
        self._loader = _Loader(TESTS, tests, _Rewriter(units).visit(tree))
        self._builtins = {**vars(builtins), _UNIT: self._unit, _HONEST: self._honest}

    def keep_modules(self) -> None:
        """Keep the functions and classes of each module that is loaded, to be put back before each test."""
        self._kept = [
            (name, module, {key: value for key, value in vars(module).items() if callable(value)})
            for name, module in list(sys.modules.items())
        ]

    def verdict(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Run the tests with the answer's names and return what `run` returns."""
        module = self._loader.module()
        vars(module).update(known)
        vars(module)["__builtins__"] = self._builtins
        try:
            self._restore()
            self._loader.exec_module(module)
        except BaseException as problem:  # noqa: BLE001 - as above
            self._remarks.append(_raised(problem, self._loader))
        else:
            for number, name in enumerate(self._functions, start=self._statements):
                with self._unit(number):
                    if vars(module)[name]() is not None:
                        raise TypeError(f"{name} returned something; a test returns nothing, and is not async")
        return {"passed": [self._results[name] for name in self.names], "remarks": self._remarks[:3]}

    def _unit(self, number: int) -> _Unit:
        self._restore()
        self._compared.clear()
        return _Unit(lambda problem: self._note(self.names[number], problem))

    def _note(self, name: str, problem: BaseException | None) -> None:
        self._results[name] = problem is None
        if problem is not None:
            values = ""
            if isinstance(problem, AssertionError) and len(self._compared) >= 2:
                values = f" ({_shown(self._compared[-2])} against {_shown(self._compared[-1])})"
            self._remarks.append(f"{_raised(problem, self._loader)}{values}")

    def _honest(self, value: Any) -> Any:
        """Return a value that is compared, unless it is equal to everything."""
        self._compared.append(value)
        for item in _items(value):
            if _is_equal_to_all(item):
                raise AssertionError(f"a {type(item).__name__} is equal to everything")
        return value

    def _restore(self) -> None:
        for name, module, kept in self._kept:
            sys.modules[name] = module
            own = vars(module)
            for key, value in kept.items():
                if own.get(key) is not value:
                    own[key] = value


class _Unit:
    """A test: whatever it raises is noted, and the tests go on."""

    def __init__(self, note: Callable[[BaseException | None], None]) -> None:
        self._note = note

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, at: TracebackType | None
    ) -> bool:
        self._note(problem)
        return True


class _Loader(importlib.abc.InspectLoader):
    """Makes a module of source text that lies in no file."""

    def __init__(self, name: str, source: str, tree: ast.AST | None = None) -> None:
        self.name, self.source, self._tree = name, source, tree

    def module(self) -> ModuleType:
        spec = importlib.util.spec_from_loader(self.name, self)
        assert spec is not None  # noqa: S101 - a loader is given
        return importlib.util.module_from_spec(spec)

    def get_source(self, fullname: str) -> str:
        return self.source

    def get_code(self, fullname: str) -> CodeType:
        tree: Any = self.source if self._tree is None else ast.fix_missing_locations(self._tree)
        code: CodeType = compile(tree, f"<{self.name}>", "exec", dont_inherit=True)
        return code


class _Rewriter(ast.NodeTransformer):
    """Wraps each test in a `with`, and what `==`, `!=` and `in` compare in a function that looks at it."""

    def __init__(self, units: list[ast.stmt]) -> None:
        self._numbers = {id(node): number for number, node in enumerate(units)}

    def visit(self, node: ast.AST) -> Any:
        number = self._numbers.get(id(node))
        new = super().visit(node)
        if number is None:
            return new
        call = ast.Call(ast.Name(_UNIT, ast.Load()), [ast.Constant(number)], [])
        return ast.copy_location(ast.With([ast.withitem(call)], [new]), node)

    def visit_Compare(self, node: ast.Compare) -> ast.Compare:
        self.generic_visit(node)
        if any(isinstance(operator, (ast.Eq, ast.NotEq, ast.In, ast.NotIn)) for operator in node.ops):
            node.left = _wrapped(node.left)
            node.comparators = [_wrapped(value) for value in node.comparators]
        return node


def _wrapped(value: ast.expr) -> ast.expr:
    return ast.copy_location(ast.Call(ast.Name(_HONEST, ast.Load()), [value], []), value)


def _units(tree: ast.Module) -> list[ast.stmt]:
    own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return [node for node in tree.body if _is_unit(node, own)]


def _is_unit(node: ast.stmt, own: set[str]) -> bool:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return False
    if isinstance(node, ast.If) and "__name__" in {one.id for one in ast.walk(node.test) if isinstance(one, ast.Name)}:
        return False
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = node.value.func
        return isinstance(function, ast.Name) and function.id in own
    return any(isinstance(inner, ast.Assert) for inner in ast.walk(node))


def _functions(tree: ast.Module) -> list[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = [node.name for node in tree.body if isinstance(node, kinds) and node.name.startswith("test_")]
    return list(dict.fromkeys(names))


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield the standard library's modules that the tests import: the answer must not be the first to do so."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and node.level == 0 else []
        yield from (name for name in names if name in sys.stdlib_module_names)


def _items(value: Any) -> Iterator[Any]:
    """Yield a value, and what the lists, tuples, sets and dicts in it hold, so far as it is looked at."""
    waiting, looked_at = [value], 0
    while waiting and looked_at < _LOOKED_AT:
        item = waiting.pop()
        looked_at += 1
        if type(item) is dict:
            waiting += list(item.items())
        elif type(item) in (list, tuple, set, frozenset):
            waiting += list(item)[:_LOOKED_AT]
        elif type(item) not in _PLAIN:
            yield item


def _is_equal_to_all(item: Any) -> bool:
    mock = sys.modules.get("unittest.mock")
    if mock is not None and item is mock.ANY:  # the tests' own
        return False
    try:
        return (item == _DECOY) is True
    except Exception:  # noqa: BLE001 - it cannot be compared with everything, so much is sure
        return False


def _raised(problem: BaseException, loader: _Loader) -> str:
    """Return in words where and what was raised, by the last line of the loader's own source."""
    numbers = [
        frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == f"<{loader.name}>"
    ]
    number = problem.lineno if isinstance(problem, SyntaxError) else next(reversed(numbers), None)
    lines = loader.source.splitlines()
    line = lines[number - 1].strip()[:_WIDTH] if number and number <= len(lines) else ""
    try:
        said = str(problem)[:_WIDTH]
    except BaseException:  # noqa: BLE001 - an exception of the answer's own
        said = ""
    what = type(problem).__name__[:_WIDTH] + (f": {said}" if said else "")
    if loader.name == TESTS and isinstance(problem, AssertionError):
        return f"failed: {line}" + (f" ({said})" if said else "")
    return f"raised {what}" + (f" (line {number}: {line})" if line else "")


def _shown(value: Any) -> str:
    try:
        return reprlib.repr(value)[:_WIDTH]
    except BaseException:  # noqa: BLE001 - a value of the answer's own
        return f"a {type(value).__name__}"
