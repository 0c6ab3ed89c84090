"""How a call can fail: the clients' exceptions sorted into a few kinds, and what each kind allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.errors import CallError, MetierError
from optimizer.types import FailureKind

if TYPE_CHECKING:
    from dspy.lm15 import Response

RETRYABLE: frozenset[FailureKind] = frozenset(
    {"rate_limit", "timeout", "transport", "server", "malformed", "truncated"}
)
FATAL: frozenset[FailureKind] = frozenset({"authentication", "unknown_model"})
# The provider is gone or ill, whatever was asked; the other kinds may be one call's own fault.
OUTAGE: frozenset[FailureKind] = frozenset({"timeout", "transport", "server"})

# By class name, first DSPy's and then lm15's; a subclass stands before its parent.
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
    ("LMUnsupportedFeatureError", "invalid_request"),
    ("LMStreamAssemblyError", "truncated"),
    # DSPy's word for an exception in its own reading of a reply; a provider error without a kind is a strange reply.
    ("LMUnexpectedError", "malformed"),
    ("LMProviderError", "malformed"),
    ("TimeoutError", "timeout"),
    ("AuthError", "authentication"),
    ("BillingError", "authentication"),
    ("NotConfiguredError", "authentication"),
    ("RateLimitError", "rate_limit"),
    ("ContextLengthError", "context_too_long"),
    ("UnsupportedModelError", "unknown_model"),
    ("InvalidRequestError", "invalid_request"),
    ("CapabilityError", "invalid_request"),
    ("ServerError", "server"),
    ("ConfigurationError", "unknown_model"),
    ("TransportError", "transport"),
    ("ProviderError", "malformed"),
    ("OSError", "transport"),
)


def classify(problem: Exception) -> CallError | None:
    """Return a CallError for what a provider's client raised; None for a bug."""
    if isinstance(problem, CallError):
        return problem
    names = {cls.__name__ for cls in type(problem).__mro__}
    text = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
    kind = next((kind for name, kind in _KINDS if name in names), None)
    if kind is None:
        return None
    if kind == "timeout" and getattr(problem, "status", None):
        kind = "server"  # 408 and 504: a gateway gave up, which says nothing about this call's length
    if kind in {"malformed", "invalid_request"}:
        kind = _by_its_words(kind, text, str(problem), getattr(problem, "status", None))
    return CallError(kind, text, getattr(problem, "retry_after", None))


def _by_its_words(kind: FailureKind, text: str, whole: str, status: int | None) -> FailureKind:
    # litellm's words for a provider that it does not know
    if status == 404 or "LLM Provider NOT provided" in whole:
        return "unknown_model"
    return "content_filter" if "content" in text and "filter" in text else kind


def problem_with(response: Response) -> CallError | None:
    """Return what keeps a reply from being an answer, or None; an empty text may be one."""
    message = response.message
    if message.text or any(part.type == "tool_call" for part in message.parts):
        return None
    if response.finish_reason == "content_filter":
        return CallError("content_filter", "the provider filtered the answer")
    unmapped = (response.provider_data or {}).get("_lm15_unmapped") or []
    if any("content" in str(item.get("path", "")) for item in unmapped):
        return CallError("malformed", "the reply's content is neither a text nor a list of parts")
    if not response.usage.output_tokens:
        # A model that chose to say nothing has made at least the token that ends its turn.
        return CallError("malformed", "an empty answer of no tokens")
    return None


def metier_error_in(problem: BaseException) -> MetierError | None:
    """Return our own error behind an exception, if there is one: DSPy wraps what an engine raises."""
    seen: BaseException | None = problem
    while seen is not None:
        if isinstance(seen, MetierError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
