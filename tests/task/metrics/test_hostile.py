from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from optimizer.system.contained.run import lacking

from .attacks import CALLS, CODE, FIRST, REFUSED, SQL, TESTS, TIMEOUT, Attack
from .bait import Bait, bait

pytestmark = pytest.mark.skipif(bool(lacking()), reason=f"this machine cannot contain code: {lacking()}")
QUERY = "SELECT name FROM items"
HERE = Path(__file__).parent
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

Score = Callable[[dict[str, Any], str, str], tuple[float, str]]


class Scorer:
    """A process of the account's that scores answers."""

    def __init__(self, baits: Bait) -> None:
        self.bait = baits
        python = baits.python()
        if not python:
            pytest.skip("there is no Python here that nobody may run")
        pipe = subprocess.PIPE
        self._process = baits.start([python, "-B", str(HERE / "bait.py")], stdin=pipe, stdout=pipe)

    def __call__(self, metric: dict[str, Any], expected: str, answer: str) -> tuple[float, str]:
        job = {"metric": metric, "folder": str(self.bait.task), "expected": expected, "answer": answer}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        result = json.loads(self._process.stdout.readline())
        return result["score"], result["feedback"]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(
    scope="module",
    params=[
        "own",
        pytest.param("nobody", marks=[pytest.mark.slow, pytest.mark.skipif(not IS_ROOT, reason="no root")]),
        pytest.param("without namespaces", marks=pytest.mark.slow),
    ],
)
def scorer(request: pytest.FixtureRequest) -> Iterator[Scorer]:
    if request.param != "own" and None in (shutil.which("setpriv"), shutil.which("unshare")):
        pytest.skip("setpriv or unshare is missing")
    with bait(request.param) as made:
        scores = Scorer(made)
        yield scores
        scores.close()


def few_of(attacks: Sequence[Attack], fast: Sequence[Attack]) -> list[Any]:
    """Return attacks to be tried one by one; those that are not `fast` are slow tests."""
    slow = pytest.mark.slow
    return [pytest.param(one, id=one.name, marks=[] if one in fast else [slow]) for one in attacks]


def limits(attack: Attack) -> dict[str, Any]:
    return {"seconds": 0.5 if attack.expected == TIMEOUT else 10.0, "memory_mb": 256}


@pytest.mark.parametrize("attack", few_of(CODE, FIRST))
def test_hostile_code_does_no_harm(attack: Attack, scorer: Scorer) -> None:
    if attack in CALLS and platform.machine() != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    score, feedback = scorer({"name": "code_tests", **limits(attack)}, TESTS, scorer.bait.filled(attack.source))
    if attack.expected == REFUSED:
        assert score == 1, feedback
    else:
        assert score == 0
        assert attack.expected in feedback
    scorer.bait.check()


@pytest.mark.parametrize("attack", few_of(SQL, SQL[::6]))
def test_hostile_sql_does_no_harm(attack: Attack, scorer: Scorer) -> None:
    metric = {"name": "sql_result", "database": "shop.sqlite", **limits(attack)}
    score, feedback = scorer(metric, QUERY, scorer.bait.filled(attack.source))
    assert score == 0
    assert attack.expected in feedback
    scorer.bait.check()


def test_right_answers_pass_under_the_same_limits(scorer: Scorer) -> None:
    code = "import asyncio, threading, tempfile\ndef attack(): raise OSError"
    assert scorer({"name": "code_tests", "seconds": 10.0, "memory_mb": 256}, TESTS, code)[0] == 1
    metric = {"name": "sql_result", "database": "shop.sqlite", "seconds": 10.0, "memory_mb": 256}
    assert scorer(metric, QUERY, "select i.name from items as i where i.price > 0")[0] == 1
    scorer.bait.check()


@pytest.mark.parametrize("attack", few_of([attack for attack in CODE if attack.works_outside], FIRST))
def test_without_containment_the_attack_works(attack: Attack) -> None:
    with bait("own") as made:
        script = f"{made.filled(attack.source)}\nattack()\n"
        done = made.start(
            [sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        errors = done.communicate()[1]
        assert done.returncode == 0, errors
