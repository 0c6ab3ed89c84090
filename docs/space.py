"""What an installation takes, and what each dependency takes alone: `python docs/space.py`."""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PARTS = {
    "embeddings": ["sentence-transformers"],
    "MLflow": ["mlflow"],
    "local models": ["xllamacpp", "gguf"],
    "providers and prices": ["litellm"],
}


def needed(names: list[str], without: set[str] = frozenset()) -> set[str]:  # type: ignore[assignment]
    """Return the packages that `names` need, themselves included; `without` are not followed."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found or name in without or (package := _installed(name)) is None:
            continue
        found.add(name)
        wanted = [Requirement(text) for text in package.requires or ()]
        waiting += [canonicalize_name(r.name) for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


def megabytes(names: set[str]) -> float:
    """Return what the files of packages take, compiled bytecode included."""
    files = [file.locate() for name in names for file in _installed(name).files or ()]  # type: ignore[union-attr]
    return sum(file.stat().st_size for file in files if file.exists()) / 1e6


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def main() -> None:
    """Print the whole, the largest packages, and what each part takes that nothing else needs."""
    whole = needed(["metier"])
    sys.stdout.write(f"metier with {len(whole) - 1} packages: {megabytes(whole):,.0f} MB\n")
    for name in sorted(whole, key=lambda one: -megabytes({one}))[:12]:
        sys.stdout.write(f"  {name:22} {megabytes({name}):5,.0f} MB\n")
    for part, names in PARTS.items():
        alone = whole - needed(["metier"], {canonicalize_name(name) for name in names})
        sys.stdout.write(f"without {part}: {megabytes(alone):,.0f} MB less ({len(alone)} packages)\n")
    light = needed(["metier"], {canonicalize_name(name) for names in PARTS.values() for name in names})
    sys.stdout.write(f"without all of these: {megabytes(light):,.0f} MB ({len(light) - 1} packages)\n")


if __name__ == "__main__":
    main()
