"""How a call can fail: DSPy's exceptions sorted into a few kinds, and what each kind allows."""

from __future__ import annotations

from optimizer.errors import CallError, MetierError
from optimizer.types import FailureKind

RETRYABLE: frozenset[FailureKind] = frozenset({"rate_limit", "timeout", "transport", "server", "malformed"})
FATAL: frozenset[FailureKind] = frozenset({"authentication", "unknown_model"})

_KINDS: tuple[tuple[str, FailureKind], ...] = (
    ("LMAuthError", "authentication"),
    ("LMBillingError", "authentication"),
    ("LMNotConfiguredError", "authentication"),
    ("LMRateLimitError", "rate_limit"),
    ("LMTimeoutError", "timeout"),
    ("ContextWindowExceededError", "context_too_long"),
    ("LMUnsupportedModelError", "unknown_model"),
    ("LMConfigurationError", "unknown_model"),
    ("LMServerError", "server"),
    ("LMTransportError", "transport"),
    ("LMInvalidRequestError", "invalid_request"),
)


def classify(problem: BaseException) -> CallError:
    """Return a CallError for an exception that a provider's call raised."""
    names = {cls.__name__ for cls in type(problem).__mro__}
    retry_after = getattr(problem, "retry_after", None)
    text = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
    if isinstance(problem, TimeoutError):
        return CallError("timeout", text or "timed out")
    kind = next((kind for name, kind in _KINDS if name in names), None)
    status = getattr(problem, "status", None)
    if kind in {None, "invalid_request"} and status == 404:
        kind = "unknown_model"
    if "LLM Provider NOT provided" in str(problem):
        kind = "unknown_model"  # litellm's words for a provider that it does not know
    if kind == "invalid_request" and "content" in text and "filter" in text:
        kind = "content_filter"
    return CallError(kind or "malformed", text, retry_after)


def metier_error_in(problem: BaseException) -> MetierError | None:
    """Return our own error behind an exception, if there is one: DSPy wraps what an engine raises."""
    seen: BaseException | None = problem
    while seen is not None:
        if isinstance(seen, MetierError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
