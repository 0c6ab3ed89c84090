"""How much faster llama.cpp reads prompts with the Q8_0 twin of a model than with the model itself."""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import tempfile
from pathlib import Path

import httpx
import numpy as np

from optimizer.models.reencode import reencoded
from optimizer.models.server import EmbeddedServer
from optimizer.models.store import Store

VOCABULARY = range(20, 40_000)


def main() -> None:
    """Serve both files at once, send each the same prompts in turn, print the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, help="a Q4_1 or Q4_0 file; default: local/smollm2-135m")
    parser.add_argument("--calls", type=int, default=40, help="of each file")
    parser.add_argument("--tokens", type=int, default=148, help="of each prompt")
    parser.add_argument("--threads", type=int, default=0, help="0: one for each physical core")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(shutil.copy(options.source or Store().pull("local/smollm2-135m"), folder))
        twin = reencoded(source)
        assert twin != source, f"{source} needs no twin"
        with (
            EmbeddedServer(source, "source", context=1024, threads=options.threads) as slow,
            EmbeddedServer(twin, "twin", context=1024, threads=options.threads) as fast,
        ):
            before, after = measure((slow, fast), options.calls, options.tokens, options.seed)
    report(source.name, before, after)


def measure(servers: tuple[EmbeddedServer, ...], calls: int, tokens: int, seed: int) -> list[list[float]]:
    """Return the prompt milliseconds a token of each server's calls, which alternate in random order."""
    rng = random.Random(seed)  # noqa: S311  a draw of prompts, not a secret
    times: list[list[float]] = [[] for _ in servers]
    for call in range(-2, calls):
        # Tokens are drawn at random from the first on, so that nothing of a prompt is in the cache.
        prompt = [rng.choice(VOCABULARY) for _ in range(tokens)]
        for i in rng.sample(range(len(servers)), len(servers)):
            body = {"prompt": prompt, "n_predict": 1, "temperature": 0, "cache_prompt": False}
            answer = httpx.post(f"{servers[i].address}/completion", json=body, timeout=120)
            timings = answer.raise_for_status().json()["timings"]
            assert timings["prompt_n"] == tokens, timings
            # The first two calls only warm up.
            if call >= 0:
                times[i].append(timings["prompt_ms"] / tokens)
    return times


def report(name: str, before: list[float], after: list[float], draws: int = 10_000) -> None:
    """Print the medians and the 95 % interval of their ratio; pairs of calls are drawn again."""
    pairs = np.array([before, after])
    picks = np.random.default_rng(0).integers(pairs.shape[1], size=(draws, pairs.shape[1]))
    medians = np.median(pairs[:, picks], axis=2)
    low, high = np.percentile(medians[0] / medians[1], [2.5, 97.5])
    old, new = statistics.median(before), statistics.median(after)
    print(f"{name}: {old:.3f} ms a prompt token; its Q8_0 twin: {new:.3f}; n = {len(before)} calls of each")
    print(f"the twin is {old / new:.3f} times as fast (95 % interval {low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
