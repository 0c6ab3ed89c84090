"""How often a calibrated prompt is called better where no prompt can be: labels are drawn, whatever the text says.

All labels are equally frequent. Were one more frequent, a prompt would be better that says it more often than the seed,
and calibration finds that out.

PYTHONPATH=. python experiments/calibration/nothing.py --runs 200 --seed 0
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import Counter
from pathlib import Path

from optimizer.config.schema import RunConfig
from optimizer.evaluate.statistics import binomial
from optimizer.job.run import run_config
from optimizer.testing.fake_server import FakeServer, Messages, text_of
from optimizer.testing.label_model import LabelModel
from optimizer.testing.light import lighten

WORDS = ("north", "south", "east", "west", "upper", "lower", "inner", "outer", "old", "new", "red", "blue")


def main() -> None:
    """Run and count the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    lighten(setattr)
    verdicts = Counter(verdict(options.seed + number) for number in range(options.runs))
    low, high = binomial(verdicts["improved"], options.runs)
    print(
        dict(verdicts),
        f"improved {100 * verdicts['improved'] / options.runs:.1f} % [{100 * low:.1f}, {100 * high:.1f}]",
    )


def verdict(seed: int) -> str:
    """Return the verdict of one run, with 2 to 5 labels, a biased model, and 40 to 120 examples a split."""
    chance = random.Random(seed)  # noqa: S311
    labels = [f"label{number}" for number in range(chance.randint(2, 5))]
    bias = {label: chance.gauss(0, 1.5) for label in labels}
    kinds = labels * (3 * (chance.randint(40, 120) // len(labels)))
    chance.shuffle(kinds)
    texts = [f"{number} {' '.join(chance.sample(WORDS, 4))}" for number in range(len(kinds))]
    rows = [{"text": text, "kind": kind} for text, kind in zip(texts, kinds, strict=True)]

    def weights(messages: Messages) -> dict[str, float]:
        whole = "\n".join(map(text_of, messages))
        noise = random.Random(f"{seed} {whole}")  # noqa: S311
        return {label: bias[label] + noise.gauss(0, 1) for label in labels}

    with tempfile.TemporaryDirectory() as folder, FakeServer(LabelModel(weights)) as server:
        task = Path(folder) / "task"
        task.mkdir()
        (task / "examples.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        spec = {
            "name": "nothing",
            "inputs": {"text": {}},
            "outputs": {"kind": {"choices": labels}},
            "instruction": "Sort it.",
            "data": {"path": "examples.jsonl"},
            "split": {"train": 0.34, "validation": 0.33, "test": 0.33},
            "metric": "choice",
        }
        (task / "task.yaml").write_text(json.dumps(spec), encoding="utf-8")
        config = {
            "task": str(task),
            "models": {"task": {"model": "openai/fake", "api_base": server.api_base}},
            "search": {"formats": ["turns"], "demos": {"counts": [0, 2, 4], "policies": ["static", "nearest"]}},
            "budget": {"calls": 200},
            "test": {"baselines": 0},
            "tracking": {"mlflow": None},
            "run_dir": str(Path(folder) / "run"),
            "seed": seed,
        }
        return run_config(RunConfig.model_validate(config)).verdict


if __name__ == "__main__":
    main()
