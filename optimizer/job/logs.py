"""Where messages go while a run works."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optimizer.errors import LedgerError
from optimizer.system.files import private_file
from optimizer.system.redact import ScrubbingFormatter


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Send our messages and the libraries' warnings to the run's log, not to the screen."""
    handler = _log_file(path)
    handler.setFormatter(ScrubbingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    expect_cut_answers()
    # The last two tell of errors that nobody waited for.
    names = (
        *("optimizer", "dspy", "mlflow", "optuna", "sentence_transformers", "transformers", "LiteLLM"),
        *("asyncio", "concurrent.futures"),
    )
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    logging.getLogger("optimizer").setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
        handler.close()


def expect_cut_answers() -> None:
    """Let DSPy not warn of each answer that is cut short: their limits are tight on purpose."""
    import dspy  # noqa: F401 - it sets its loggers up on import, which would undo this

    logging.getLogger("dspy.clients.lm").setLevel(logging.ERROR)


def _log_file(path: Path) -> logging.Handler:
    try:
        return logging.FileHandler(private_file(path), encoding="utf-8")
    except OSError as problem:
        raise LedgerError(f"{path}: cannot be written ({problem.strerror})", "Give another --run-dir.") from None
