"""Models that a caller made as dspy.LM objects: where they answer, as a run's set of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from optimizer.models.providers import Endpoint
from optimizer.models.wire import OnHeaders, Wire
from optimizer.types import Role

if TYPE_CHECKING:
    import dspy


@dataclass(frozen=True)
class LMEndpoint(Endpoint):
    """Where a caller's dspy.LM answers. Unless it is `plain`, that LM itself makes each attempt."""

    lm: dspy.LM = None
    plain: bool = True

    def dial(self, on_headers: OnHeaders) -> Wire:
        """Return what makes one attempt a call."""
        return super().dial(on_headers) if self.plain else self.connect()

    def connect(self, temperature: float | None = None) -> dspy.LM:
        """Return the LM without cache and retries of its own; its sampling settings stay, whatever `temperature`."""
        return self.lm.copy(cache=False, num_retries=0)


@dataclass(frozen=True)
class LMSet:
    """Models that run already; nothing is started or ended with the run."""

    endpoints: Mapping[Role, LMEndpoint]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Leave the models as they are."""
