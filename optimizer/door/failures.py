"""How a call can fail: the clients' exceptions sorted into a few kinds, and what each kind allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from optimizer.errors import CallError, MetierError
from optimizer.system.limits import check_depth, shorten
from optimizer.types import FailureKind

if TYPE_CHECKING:
    from dspy.lm15 import Response

RETRYABLE: frozenset[FailureKind] = frozenset(
    {"rate_limit", "timeout", "transport", "server", "malformed", "truncated"}
)
FATAL: frozenset[FailureKind] = frozenset({"authentication", "unknown_model"})
# The provider is gone or ill, whatever was asked; the other kinds may be one call's own fault.
OUTAGE: frozenset[FailureKind] = frozenset({"timeout", "transport", "server"})

# By the names of DSPy's and lm15's exceptions; the most special class of an exception that is here decides.
_NAMES: Mapping[FailureKind, str] = {
    "authentication": "LMAuthError LMBillingError LMNotConfiguredError AuthError BillingError NotConfiguredError",
    "rate_limit": "LMRateLimitError RateLimitError",
    "timeout": "LMTimeoutError TimeoutError",
    "context_too_long": "ContextWindowExceededError ContextLengthError",
    "unknown_model": "LMUnsupportedModelError LMConfigurationError UnsupportedModelError ConfigurationError",
    "server": "LMServerError ServerError",
    "transport": "LMTransportError TransportError OSError",
    "invalid_request": "LMInvalidRequestError LMUnsupportedFeatureError InvalidRequestError CapabilityError",
    "truncated": "LMStreamAssemblyError",
    # DSPy's word for an exception in its own reading of a reply; a provider error without a kind is a strange reply.
    "malformed": "LMUnexpectedError LMProviderError ProviderError",
}
# Of one call: no model reads or writes so much, and the ledger could not add up more.
MOST_TOKENS = 1_000_000_000
_KINDS = {name: kind for kind, names in _NAMES.items() for name in names.split()}


def classify(problem: Exception) -> CallError | None:
    """Return a CallError for what a provider's client raised; None for a bug."""
    if isinstance(problem, CallError):
        return problem
    status = getattr(problem, "status", None)
    text = next(
        (line for line in str(problem).splitlines() if line.strip()),
        f"HTTP {status} without a reason" if status else type(problem).__name__,
    )
    kind = next((_KINDS[cls.__name__] for cls in type(problem).__mro__ if cls.__name__ in _KINDS), None)
    if kind is None:
        return None
    if kind == "timeout" and status:
        kind = "server"  # 408 and 504: a gateway gave up, which says nothing about this call's length
    if kind in {"malformed", "invalid_request"}:
        kind = _by_its_words(kind, text, str(problem), status)
    return CallError(kind, text, getattr(problem, "retry_after", None))


def _by_its_words(kind: FailureKind, text: str, whole: str, status: int | None) -> FailureKind:
    # litellm's words for a provider that it does not know
    if status == 404 or "LLM Provider NOT provided" in whole:
        return "unknown_model"
    return "content_filter" if "content" in text and "filter" in text else kind


def checked(response: Response) -> Response:
    """Return a response that can be written down; raises CallError for any other: none of its figures is believed."""
    usage = response.usage
    counts = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    if (most := max(count or 0 for count in (*counts, usage.reasoning_tokens))) > MOST_TOKENS:
        raise CallError("malformed", f"the reply counts {shorten(most)} tokens")
    try:
        check_depth([part.input for part in response.message.parts if part.type == "tool_call"])
    except ValueError as problem:
        raise CallError("malformed", f"the arguments of a tool are {problem}") from None
    return response


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
    return next((cause for cause in causes(problem) if isinstance(cause, MetierError)), None)


def causes(problem: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that led to it, the latest first."""
    cause: BaseException | None = problem
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
