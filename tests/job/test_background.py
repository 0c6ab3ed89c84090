from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

from optimizer.errors import ConfigError
from optimizer.job.background import StopRequest, beside_the_loop, outside_the_loop, stop_request


def waits() -> str:
    """Stand for a job that runs until it is asked to stop."""
    asked, request = threading.Event(), stop_request.get()
    assert request is not None
    with request.heard_by(asked.set):
        assert asked.wait(20)
    return f"stopped in {threading.current_thread().name}"


def fails() -> str:
    raise ConfigError("wrong")


def test_without_a_loop_it_runs_where_it_is_called() -> None:
    assert outside_the_loop(lambda: threading.current_thread()) is threading.current_thread()


def test_an_interrupt_inside_a_loop_stops_the_job_in_order() -> None:
    async def notebook() -> str:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # as a notebook's kernel has it
        try:
            return outside_the_loop(waits)
        finally:
            signal.signal(signal.SIGINT, before)

    assert asyncio.run(notebook()) == "stopped in metier-job"


@pytest.mark.parametrize("form", ["sync", "async"])
def test_a_jobs_error_is_raised_where_it_is_waited_for(form: str) -> None:
    async def notebook() -> str:
        return outside_the_loop(fails) if form == "sync" else await beside_the_loop(fails)

    with pytest.raises(ConfigError, match="wrong"):
        asyncio.run(notebook())


def test_a_request_that_comes_too_early_is_heard() -> None:
    request, heard = StopRequest(), []
    request.ask()
    with request.heard_by(lambda: heard.append(1)):
        assert heard == [1]
    request.ask()
    assert heard == [1]
