"""Which versions of packages are installed."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version


def versions(*packages: str) -> dict[str, str]:
    """Return the installed versions of packages; "none" for one that is not there."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def versions_here() -> dict[str, str]:
    """Return the versions of all that a run's figures may depend on: Python's, ours, those of the packages we use."""
    from optimizer import __version__

    packages = versions("dspy", "optuna", "mlflow", "litellm", "numpy", "scipy", "sentence-transformers", "xllamacpp")
    return {"metier": __version__, "python": platform.python_version(), **packages}
