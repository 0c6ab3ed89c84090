"""Whether an answer depends on what the server has cached before, and what a remedy costs."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from optimizer.models.reencode import reencoded
from optimizer.models.store import Store
from optimizer.task.load import load_task
from optimizer.types import Example

# What each variant does to xllamacpp's parameters.
VARIANTS = {
    "F16 keys and values": "",
    "F16 keys, BF16 values": "p.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_BF16",
    "no flash attention": "p.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED",
}
SERVER = """
import sys, threading, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.hostnames, p.port, p.n_parallel, p.n_ctx = sys.argv[1], ["127.0.0.1"], 0, 1, 8192
p.n_gpu_layers, p.cache_ram_mib, p.fit_params, p.verbosity, p.cpuparams.n_threads = 0, 0, False, 1, int(sys.argv[2])
{line}
server = xllamacpp.Server(p)
print(server.listening_address, flush=True)
threading.Event().wait()
"""
Messages = list[dict[str, str]]


def main() -> None:
    """Ask every variant the same prompts in three orders; print what moved and how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="a GGUF file; default: local/smollm2-135m as a run serves it")
    parser.add_argument("--prompts", type=int, default=45)
    parser.add_argument("--demos", type=int, default=6, help="of two prompts in three")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model = options.model or reencoded(Store().pull("local/smollm2-135m"))
    asked = prompts(options.prompts, options.demos, options.seed)
    print(f"{len(asked)} prompts, 3 orders, {options.demos} demos, seed {options.seed}")
    for name, line in VARIANTS.items():
        with served(model, line, options.threads) as address:
            ask(address, asked[0])  # the first call only warms up
        orders = [ordered(model, line, options.threads, asked, seed) for seed in range(3)]
        texts, firsts, seconds = (np.array(column) for column in zip(*orders, strict=True))
        differ = int((texts != texts[0]).any(axis=0).sum())
        spread = np.ptp(firsts, axis=0).max()
        print(f"{name}: {differ} answers differ, log-probability by up to {spread:.5f}; {np.round(seconds, 1)} s")


def prompts(count: int, demos: int, seed: int) -> list[Messages]:
    """Return prompts of three kinds in turn: without demos, with the same demos, with their own."""
    examples = list(load_task("support_intent").train)
    rng = random.Random(seed)  # noqa: S311  a draw of prompts, not a secret
    drawn = rng.sample(examples, len(examples))
    rest, same = drawn[count + demos :], drawn[count : count + demos]
    return [messages(drawn[i], ([], same, rng.sample(rest, demos))[i % 3]) for i in range(count)]


def messages(example: Example, demos: list[Example]) -> Messages:
    """Return the prompt of one example in the `turns` format."""
    found: Messages = [{"role": "system", "content": "Classify the message."}]
    for demo in demos:
        found += [
            {"role": "user", "content": str(demo.inputs["message"])},
            {"role": "assistant", "content": str(demo.outputs["intent"])},
        ]
    return [*found, {"role": "user", "content": str(example.inputs["message"])}]


def ordered(
    model: Path, line: str, threads: int, asked: list[Messages], seed: int
) -> tuple[list[str], list[float], float]:
    """Ask a new server all prompts in a seeded order; return texts, first log-probabilities, seconds."""
    order = random.Random(seed).sample(range(len(asked)), len(asked))  # noqa: S311
    with served(model, line, threads) as address:
        start = time.perf_counter()
        answers = {i: ask(address, asked[i]) for i in order}
        seconds = time.perf_counter() - start
    texts, firsts = zip(*(answers[i] for i in range(len(asked))), strict=True)
    return list(texts), list(firsts), seconds


def ask(address: str, prompt: Messages) -> tuple[str, float]:
    """Return the answer's text and its first token's log-probability."""
    body = {"messages": prompt, "temperature": 0, "max_tokens": 12, "logprobs": True}
    answer = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=120).raise_for_status().json()
    choice = answer["choices"][0]
    return choice["message"]["content"], choice["logprobs"]["content"][0]["logprob"]


@contextmanager
def served(model: Path, line: str, threads: int) -> Iterator[str]:
    """Yield the address of a new server of one variant."""
    command = [sys.executable, "-c", SERVER.format(line=line), str(model), str(threads)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield child.stdout.readline().strip()
        finally:
            child.kill()


if __name__ == "__main__":
    main()
