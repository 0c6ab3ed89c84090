from __future__ import annotations

from collections.abc import Iterator

import pytest
from forks import Forks


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Processes of the command line that need not import anything."""
    with Forks() as started:
        yield started
