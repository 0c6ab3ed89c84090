"""Kills batch runs at random moments: `python -m experiments.batch.kills --kills 50`.

Each time a run of a small task in batches on the fake provider is killed (SIGKILL) up to three times: at the N-th
passage of a crash point (`optimizer/testing/crash.py`; those of batches among them), or at a moment of its time, all
drawn by chance; then the same command is given until it ends. The provider takes turns: OpenAI's protocol, Anthropic's.

What is checked of each run: no batch was submitted twice (no request was answered in two batches, no two have one
label); no committed call was asked again (what was answered more often than is recorded was in flight, alone); the
dollars in the ledger are the hand-worked sum of what the provider charged, or more where a call was in flight; and the
outcome is that of a run that was left in peace.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

from experiments.killing import Command, killed, recorded, rule, write_task
from optimizer.ledger.reader import Reader
from optimizer.ledger.spend import usage_in
from optimizer.testing.fake_batches import FakeBatch
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.forks import Forks
from optimizer.types import canonical_json

# Dollars for a million tokens of either kind, so that the sum does not hang on which kind they are.
EACH = 2.0
# Calls that a batch run asks alone, at most: so many may be in flight when it is killed.
ALONE = 9
PROVIDERS = ("openai", "anthropic")


def prepare(folder: Path, server: FakeServer, provider: str) -> Command:
    """Write a task and a config of a batch run; returns its command."""
    config: dict[str, Any] = {
        "task": str(write_task(folder)),
        "models": {
            "task": {"model": f"{provider}/x", "price": {"input": EACH, "output": EACH}},
            "api_base": server.api_base,
            "batch": True,
        },
        "search": {"trials": 6, "formats": ["turns"], "demos": {"policies": ["static"], "counts": [0, 2], "sets": 1}},
        "budget": {"usd": 5},
        "test": {"baselines": 10},
        "tracking": {"mlflow": None},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    return Command(["run", str(folder / "run.yaml"), "--quiet"], "--run-dir", folder, {"haste": True})


def outcome(out: Path) -> tuple[Any, ...]:
    """Return what a run came to, without its times, paths and figures of what it took."""
    data = json.loads((out / "result.json").read_text())
    return data["verdict"], data["winner"]["candidate_id"], data["difference"], data["trials"], data["test_examples"]


def dollars(out: Path) -> float:
    """Return what a run's ledger says that it has paid."""
    with closing(Reader(out / "ledger.db")) as ledger:
        return usage_in(ledger, "search").usd + usage_in(ledger, "test").usd


def answered_in(batches: Sequence[FakeBatch]) -> tuple[Counter[str], int]:
    """Return how often each request was answered in batches, and the tokens of these answers."""
    bodies, tokens = Counter[str](), 0
    for batch in batches:
        for name, result in (batch.results or {}).items():
            if isinstance(result, tuple) and result[0] == 200:
                bodies[canonical_json(batch.lines[name])] += 1
                tokens += sum(count for key, count in result[1]["usage"].items() if _is_counted(key, count))
    return bodies, tokens


def _is_counted(key: str, count: object) -> bool:
    return isinstance(count, int) and key != "total_tokens"


def labels(batches: Sequence[FakeBatch]) -> Counter[str]:
    """Return how often a batch of each label was submitted."""
    return Counter(next(iter(batch.lines)).rpartition("-")[0] for batch in batches)


def check(server: FakeServer, out: Path, before: tuple[int, int, int]) -> str:
    """Check a run against what the provider has seen since `before`: answers, tokens, batches. Returns its figures."""
    answered, tokens, known = before
    batches = list(server.batches.made.values())[known:]
    done, lost = recorded(out)
    bodies, batched = answered_in(batches)
    assert set(labels(batches).values()) <= {1}, "a batch was submitted twice"
    assert set(bodies.values()) <= {1}, "a request was answered in two batches"
    again = server.answered - answered - done
    assert again <= lost <= ALONE, f"{again} calls were made again, {lost} were in flight"
    charged = EACH / 1e6 * (server.tokens - tokens - batched / 2)
    paid = dollars(out)
    assert paid > charged - 1e-9, f"${charged} was charged, ${paid} is recorded"
    assert lost or abs(paid - charged) < 1e-9, f"${charged} was charged, ${paid} is recorded"
    return f"{done} calls in {len(batches)} batches, {lost} lost, {max(0, again)} made again"


def play(forks: Forks, provider: str, kills: int, seed: int) -> int:
    """Kill runs of one provider's so often, go on, and check each; returns how many runs that were."""
    runs = 0
    with tempfile.TemporaryDirectory() as temporary, FakeServer(rule) as server:
        server.batches.delay = 0.3
        command = prepare(Path(temporary), server, provider)
        out, begun = command.folder / "whole", time.monotonic()
        passed, seconds = command.passed(forks, out), time.monotonic() - begun
        print(f"{provider}: {check(server, out, (0, 0, 0))}, in {seconds:.1f} s", flush=True)
        whole = outcome(out)
        before = server.answered, server.tokens, len(server.batches.made)
        for struck, at, out in killed(command, forks, passed, kills, seed, most=3, seconds=seconds):
            figures = check(server, out, before)
            before = server.answered, server.tokens, len(server.batches.made)
            assert outcome(out) == whole, f"{at}: another outcome"
            runs += 1
            print(f"{struck:3} {at}: {figures}", flush=True)
    return runs


def main() -> None:
    """Kill, go on, and check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with Forks() as forks:
        shares = [(options.kills + number) // len(PROVIDERS) for number in range(len(PROVIDERS))]
        runs = sum(play(forks, *one, options.seed) for one in zip(PROVIDERS, shares, strict=True))
    print(f"{options.kills} kills of {runs} runs: no batch submitted twice, nothing committed asked again")


if __name__ == "__main__":
    main()
