from __future__ import annotations

import pytest
from dspy import lm15
from dspy.utils import exceptions as dspy_errors

from optimizer.door.failures import FATAL, RETRYABLE, classify, metier_error_in
from optimizer.errors import BudgetSpent, CallError


def kind_of(problem: Exception) -> str | None:
    error = classify(problem)
    return error and error.kind


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (dspy_errors.LMAuthError("no"), "authentication"),
        (dspy_errors.LMBillingError("no"), "authentication"),
        (dspy_errors.LMNotConfiguredError("no key"), "authentication"),
        (dspy_errors.LMRateLimitError("no"), "rate_limit"),
        (dspy_errors.LMTimeoutError("no"), "timeout"),
        (TimeoutError(), "timeout"),
        (dspy_errors.ContextWindowExceededError(model="m"), "context_too_long"),
        (dspy_errors.LMUnsupportedModelError("no"), "unknown_model"),
        (dspy_errors.LMConfigurationError("no"), "unknown_model"),
        (dspy_errors.LMServerError("no"), "server"),
        (dspy_errors.LMTransportError("no"), "transport"),
        (dspy_errors.LMInvalidRequestError("bad parameter", status=400), "invalid_request"),
        (dspy_errors.LMInvalidRequestError("no such model", status=404), "unknown_model"),
        (dspy_errors.LMInvalidRequestError("blocked by the content filter"), "content_filter"),
        (dspy_errors.LMProviderError("nothing here", status=404), "unknown_model"),
        (dspy_errors.LMTimeoutError("gateway", status=504), "server"),
        (dspy_errors.LMStreamAssemblyError("cut"), "truncated"),
        (dspy_errors.LMProviderError("not JSON"), "malformed"),
        (dspy_errors.LMUnexpectedError("no choices"), "malformed"),
        (lm15.AuthError("no"), "authentication"),
        (lm15.RateLimitError("no"), "rate_limit"),
        (lm15.ContextLengthError("no"), "context_too_long"),
        (lm15.UnsupportedModelError("no"), "unknown_model"),
        (lm15.InvalidRequestError("no"), "invalid_request"),
        (lm15.ServerError("no"), "server"),
        (lm15.TransportError("no"), "transport"),
        (lm15.TimeoutError("no"), "timeout"),
        (lm15.ProviderError("not JSON"), "malformed"),
        (ConnectionResetError("no"), "transport"),
        (CallError("truncated", "cut"), "truncated"),
    ],
)
def test_each_exception_has_its_kind(problem: Exception, kind: str) -> None:
    assert kind_of(problem) == kind


def test_a_bug_is_no_failure_of_a_call() -> None:
    assert classify(KeyError("x")) is None
    assert classify(ValueError("x")) is None


def test_a_context_error_is_not_taken_for_an_invalid_request() -> None:
    """It is a subclass of it: the order of the table matters."""
    assert issubclass(dspy_errors.ContextWindowExceededError, dspy_errors.LMInvalidRequestError)
    assert kind_of(dspy_errors.ContextWindowExceededError()) == "context_too_long"


def test_the_message_is_one_line_and_the_delay_is_kept() -> None:
    error = classify(dspy_errors.LMRateLimitError("slow\ndown", retry_after=3.0))
    assert error is not None
    assert (error.what, error.retry_after) == ("slow", 3.0)


def test_an_empty_message_is_named_after_its_class() -> None:
    error = classify(ConnectionResetError())
    assert error is not None
    assert error.what == "ConnectionResetError"


@pytest.mark.parametrize("text", ["\n", " \r\n\t"])
def test_a_blank_message_is_told_by_its_status(text: str) -> None:
    error = classify(dspy_errors.LMInvalidRequestError(text, status=400))
    assert error is not None
    assert error.what == "HTTP 400 without a reason"


def test_no_kind_is_both_retried_and_fatal() -> None:
    assert not RETRYABLE & FATAL
    assert "context_too_long" not in RETRYABLE | FATAL
    assert {"authentication", "unknown_model"} == FATAL


def test_our_error_is_found_behind_any_wrapping() -> None:
    ours = CallError("server", "down")
    try:
        try:
            raise ours
        except CallError as problem:
            raise dspy_errors.LMUnexpectedError("wrapped") from problem
    except dspy_errors.LMError as outer:
        found = metier_error_in(outer)
    assert found is ours
    assert metier_error_in(ours) is ours


def test_our_error_is_found_in_the_context_too() -> None:
    ours = BudgetSpent("calls")
    try:
        try:
            raise ours
        except BudgetSpent:
            raise RuntimeError("while handling")  # noqa: B904
    except RuntimeError as outer:
        found = metier_error_in(outer)
    assert found is ours


def test_there_is_none_in_a_strangers_error() -> None:
    assert metier_error_in(ValueError("x")) is None
