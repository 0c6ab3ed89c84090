"""What prompts cost that alternate, as those of an ensemble do, with and without memory for their states."""

from __future__ import annotations

import argparse
import random
import time

import numpy as np

from experiments.reproducible import measure
from experiments.reproducible.measure import Messages, ask, messages, served
from optimizer.models.reencode import reencoded
from optimizer.models.serve import KEPT_MIB
from optimizer.models.store import Store
from optimizer.task.load import load_task

# Both keep their values as the embedded server does, so that an answer does not depend on what was cached.
OURS = measure.VARIANTS["F16 keys, BF16 values"]
VARIANTS = {"no memory": OURS, f"{KEPT_MIB} MiB": f"{OURS}; p.cache_ram_mib = {KEPT_MIB}"}
FIXED, FIXED_DEMOS, OWN_DEMOS = 4, 16, 8


def main() -> None:
    """Ask each variant for the same inputs, with every prompt in turn; print seconds a call and what moved."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model = reencoded(Store().pull("local/smollm2-135m"))
    rounds = asked(options.inputs, options.seed)
    print(f"{len(rounds)} inputs: {FIXED} prompts with {FIXED_DEMOS} fixed demos, one with {OWN_DEMOS} of its own")
    told = []
    for name, line in VARIANTS.items():
        with served(model, line, options.threads) as address:
            seconds, firsts = [], []
            for prompts in rounds:
                for prompt in prompts:
                    start = time.perf_counter()
                    firsts.append(ask(address, prompt)[1])
                    seconds.append(time.perf_counter() - start)
        told.append(np.array(firsts))
        taken = np.array(seconds).reshape(len(rounds), -1)[1:]  # the first input's prompts are new to the server
        fixed, own = np.median(taken[:, :FIXED]), np.median(taken[:, FIXED])
        whole = taken.sum(axis=1).mean()
        print(f"{name}: {fixed:.2f} s a call with fixed demos, {own:.2f} s with its own, {whole:.2f} s an input")
    print(f"log-probability moves by up to {np.abs(told[0] - told[1]).max():.5f}")


def asked(inputs: int, seed: int) -> list[list[Messages]]:
    """Return for each input its prompts: those with fixed demos, and one with demos of its own."""
    rng = random.Random(seed)  # noqa: S311
    train = list(load_task("support_intent").train)
    rng.shuffle(train)
    questions, rest = train[:inputs], train[inputs:]
    sets = [rng.sample(rest, FIXED_DEMOS) for _ in range(FIXED)]
    return [[messages(one, demos) for demos in [*sets, rng.sample(rest, OWN_DEMOS)]] for one in questions]


if __name__ == "__main__":
    main()
