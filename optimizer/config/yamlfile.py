"""Reads a user's YAML file: UTF-8, one mapping, no key twice, within limits; and finds the line of a key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from optimizer.errors import ConfigError, MetierError
from optimizer.system.files import refuse_large, refuse_pipe, unreadable
from optimizer.system.limits import DEEPEST, TOO_DEEP, shorten

# Of a YAML file: its characters, and its keys and values with each alias counted as what it stands for.
LARGEST, MOST_NODES = 1_000_000, 40_000


def read_text(path: Path, error: type[MetierError]) -> str:
    """Return a UTF-8 file's text; raises `error` where it is missing, a folder, a pipe, too large, or not UTF-8."""
    refuse_pipe(path, error)
    try:
        refuse_large(path, error)
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as problem:
        line = problem.object[: problem.start].count(b"\n") + 1
        remedy = f"Save it as UTF-8, for example: iconv -f latin1 -t utf-8 {path.name}"
        raise error(f"{path}:{line}: not valid UTF-8 (byte 0x{problem.object[problem.start]:02x})", remedy) from None
    except (OSError, ValueError) as problem:
        raise unreadable(path, problem, error) from None


def read_yaml(path: Path, error: type[MetierError]) -> dict[str, Any]:
    """Return a YAML file's mapping; raises `error` with the line where it is not one."""
    text = read_text(path, error)
    try:
        data = parse_yaml(text, partial(_refuse_repeated_keys, path, error))
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        what = f"{path}{line}: not valid YAML ({flaw_of(problem)})"
        raise error(what, "Check the indentation and the quotes.") from None
    if not isinstance(data, dict):
        kind = "empty" if data is None else f"a {type(data).__name__}"
        raise error(f"{path}: must be a mapping of keys to values, not {kind}", "Start from a file in configs/.")
    return data


def parse_yaml(text: str, look: Callable[[yaml.Node], None] = lambda node: None) -> Any:
    """Return what a YAML text says, as plain data; `look` may refuse its nodes. Raises yaml.YAMLError."""
    if len(text) > LARGEST:
        raise yaml.MarkedYAMLError(problem=f"it has {len(text):,} characters; {LARGEST:,} are allowed")
    loader = _Loader(text)
    node = loader.get_single_node()
    if node is None:
        return None
    look(node)
    return loader.construct_document(node)


def flaw_of(problem: yaml.YAMLError) -> str:
    """Return what is wrong with a YAML text, in words."""
    return getattr(problem, "problem", None) or getattr(problem, "reason", None) or "cannot be parsed"


class _Loader(yaml.SafeLoader):
    """Refuses what is nested too deeply or multiplied by aliases, and says which value cannot be read."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nesting = 0
        self._extents: dict[int, tuple[int, int]] = {}  # of each node: how many there are in it, and how deep they lie

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node; an alias is the node that it names."""
        is_alias, mark = self.check_event(yaml.AliasEvent), self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self._nesting += 1
        self._bound(len(self._extents), self._nesting, mark)
        node = super().compose_node(parent, index)
        self._nesting -= 1
        if node is not None and not is_alias:
            self._extents[id(node)] = self._extent(node, mark)
        elif id(node) not in self._extents:
            raise yaml.MarkedYAMLError(problem="an alias stands inside what it names", problem_mark=mark)
        return node

    def _extent(self, node: yaml.Node, mark: yaml.Mark) -> tuple[int, int]:
        below = [self._extents[id(child)] for child in _children(node)]
        size, depth = 1 + sum(size for size, _ in below), 1 + max((depth for _, depth in below), default=0)
        self._bound(size, depth, mark)
        return size, depth

    def _bound(self, size: int, depth: int, mark: yaml.Mark) -> None:
        if size > MOST_NODES:
            raise yaml.MarkedYAMLError(problem=f"more than {MOST_NODES:,} keys and values", problem_mark=mark)
        if depth > DEEPEST:
            raise yaml.MarkedYAMLError(problem=TOO_DEEP, problem_mark=mark)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return a node's value; PyYAML lets through what int(), date() and the like raise for one."""
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int):
                str(value)  # raises ValueError for more digits than Python prints
            if isinstance(value, str):
                value.encode()  # raises ValueError for half of a surrogate pair
        except (ValueError, LookupError, AttributeError):
            kind = node.tag.rpartition(":")[2]
            what = f"{shorten(node.value)} cannot be read as {kind}"
            raise yaml.MarkedYAMLError(problem=what, problem_mark=node.start_mark) from None
        return value


def composed(path: Path) -> yaml.Node | None:
    """Return what a YAML file is made of, for `line_of`; None where the path is not one of a YAML file."""
    try:
        return yaml.compose(read_text(path, ConfigError), Loader=_Loader)
    except (ConfigError, yaml.YAMLError):
        return None


def line_of(node: yaml.Node | None, keys: Sequence[int | str]) -> int | None:
    """Return the line of the deepest of nested keys that a file's node holds, counted from 1."""
    line = None
    for key in keys:
        pair = next((pair for pair in _pairs(node) if pair[0].value == str(key)), None)
        if pair is None:
            break
        line, node = pair[0].start_mark.line + 1, pair[1]
    return line


def _refuse_repeated_keys(path: Path, error: type[MetierError], root: yaml.Node) -> None:
    """Raise `error` for a key that is twice in a mapping: PyYAML would drop the first silently."""
    left, visited = [root], set()
    while left:
        node = left.pop()
        if id(node) in visited:
            continue  # an alias
        visited.add(id(node))
        seen: dict[tuple[str, str], int] = {}
        for key, _ in _pairs(node):
            name, line = (key.tag, str(key.value)), key.start_mark.line + 1
            if name in seen:
                remedy = f"The first is on line {seen[name]}; keep one of the two."
                raise error(f"{path}:{line}: '{key.value}' is given a second time", remedy)
            seen[name] = line
        left += _children(node)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    return [part for pair in _pairs(node) for part in pair]


def _pairs(node: yaml.Node | None) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from node.value
