"""Draws examples.jsonl from the reviews of tasks/review_tone: many favourable ones, few unfavourable ones."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "review_tone" / "examples.jsonl"
POSITIVE, NEGATIVE, SEED = 252, 28, 0


def drawn(positive: int, negative: int, seed: int) -> list[dict[str, str]]:
    """Return so many reviews of each tone, in the source's order; raises ValueError where it has too few."""
    lines = SOURCE.read_text(encoding="utf-8").splitlines()
    reviews = [json.loads(line) for line in lines]
    draw, chosen = random.Random(seed), list[int]()  # noqa: S311 - nothing secret
    for tone, count in (("positive", positive), ("negative", negative)):
        chosen += draw.sample([at for at, review in enumerate(reviews) if review["tone"] == tone], count)
    return [reviews[at] for at in sorted(chosen)]


def main() -> None:
    """Write examples.jsonl, or the file that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--positive", type=int, default=POSITIVE, help="favourable reviews (default: %(default)s)")
    parser.add_argument("--negative", type=int, default=NEGATIVE, help="unfavourable reviews (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="which are drawn (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "examples.jsonl", help="the file to write")
    chosen = parser.parse_args()
    try:
        rows = drawn(chosen.positive, chosen.negative, chosen.seed)
    except ValueError:
        parser.error(f"review_tone has 260 reviews of each tone, and not {chosen.positive} and {chosen.negative}")
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    chosen.out.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
