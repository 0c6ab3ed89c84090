"""Which package each library's optimizers need, and the class that runs them; imported when they are asked for."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from optimizer.errors import ConfigError

if TYPE_CHECKING:
    from optimizer.teleprompt.library import LibrarySearch

_CLASSES = {
    "dspy": ("optimizer.teleprompt.strategy", "DspySearch"),
    "gepa": ("optimizer.teleprompt.gepa_package", "GepaSearch"),
    "promptolution": ("optimizer.teleprompt.promptolution_package", "PromptolutionSearch"),
}


def refuse_missing(strategy: str) -> None:
    """Raise ConfigError where the package of a library's optimizer is not installed; other strategies pass."""
    package = strategy.partition(".")[0]
    if package in _CLASSES and find_spec(package) is None:
        what = f"search.strategy: {strategy} needs the package {package}, which is not installed"
        raise ConfigError(what, "Install it: pip install 'metier[peers]'.")


def library_search(strategy: str) -> type[LibrarySearch]:
    """Return the class that runs a library's optimizer; raises ConfigError where its package is not installed."""
    refuse_missing(strategy)
    module, name = _CLASSES[strategy.partition(".")[0]]
    kind: type[LibrarySearch] = getattr(import_module(module), name)
    return kind
