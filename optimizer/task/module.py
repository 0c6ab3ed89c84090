"""A program that is a dspy.Module object: what identifies it in a later session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.system.source import whole_source
from optimizer.types import digest

if TYPE_CHECKING:
    import dspy


def structure(module: dspy.Module) -> list[str]:
    """Return the module's class, and a digest of its source, where there is one, and of its predictors.

    Instructions are left out: they are what is optimized.
    """
    kind = type(module)
    fields = {name: [*p.signature.input_fields, "->", *p.signature.output_fields] for name, p in predictors_of(module)}
    return [kind.__qualname__, digest([whole_source(kind), fields])]


def predictors_of(module: dspy.Module) -> list[tuple[str, dspy.Predict]]:
    """Return the predictors that can be optimized, by name: those of compiled parts are frozen, as in DSPy."""
    return list(module.named_predictors())
