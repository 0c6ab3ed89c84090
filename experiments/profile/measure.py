"""What `metier tasks check` finds in a million rows, and what it takes: `python -m experiments.profile.measure FOLDER`.

It writes a task with two Parquet files and one with two CSV files of 2 GB together, plants what a check should find,
runs the command on each, and prints time, memory, and how much of it was found, missed and invented.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROWS, TEST = 1_000_000, 100_000
NEAR, CONFLICTS, LEAKS, PERSONAL = 50, 20, 10, 20
LABELS = ("billing", "delivery", "returns", "technical", "account", "other")
# A telephone number, an address, an IBAN and a card number that are nobody's, each with a right check digit.
PRIVATE = (
    "call +49 30 901820{:02d}",
    "mail ann.meier{}@example.org",
    "to DE89370400440532013000",
    "card 4111 1111 1111 1111",
)
TASK = """name: planted
inputs: {{message: {{}}}}
outputs: {{team: {{choices: [{labels}]}}}}
instruction: Which team?
data: {{train: train.{suffix}, test: test.{suffix}}}
metric: choice
"""
# By what each planted thing must be called.
KINDS = {
    "near-duplicates": ("near_duplicate", "near_leak"),
    "conflicting labels": ("conflict",),
    "leaks": ("leak",),
    "personal data": ("personal",),
}


@dataclass
class Planted:
    """The rows, and by kind the numbers of those that are planted: of each pair the later one."""

    texts: list[str]
    labels: list[str]
    rows: dict[str, list[int]]


def planted(sentences: int, seed: int = 0, size: int = ROWS, near: int = NEAR) -> Planted:
    """Return `size` rows of so many sentences each; all but the last tenth of them are for training."""
    rng = np.random.default_rng(seed)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "el", "ir", "os")]
    words = ["".join(rng.choice(syllables, rng.integers(2, 4))) for _ in range(4000)]
    pool = [" ".join(rng.choice(words, rng.integers(5, 9))).capitalize() + "." for _ in range(60_000)]
    picked, numbers = rng.integers(0, len(pool), (size, sentences)), rng.integers(10_000, 10_000_000, size)
    texts = [
        f"{' '.join([pool[at] for at in row])} Order {number}." for row, number in zip(picked, numbers, strict=True)
    ]
    labels = [LABELS[at] for at in rng.integers(0, len(LABELS), size)]
    train = size - size * TEST // ROWS
    chosen = rng.choice(train, 2 * (near + CONFLICTS) + LEAKS + PERSONAL + near, replace=False).tolist()
    rows: dict[str, list[int]] = {kind: [] for kind in KINDS}
    into_test = iter(rng.choice(np.arange(train, size), near + LEAKS, replace=False).tolist())
    for number in range(near):
        one, two = chosen.pop(), chosen.pop() if number % 2 else next(into_test)
        texts[two] = _nearly(texts[one], words, rng)
        rows["near-duplicates"].append(max(one, two))
        labels[two] = labels[one]
    for _ in range(CONFLICTS):
        one, two = chosen.pop(), chosen.pop()
        texts[two], labels[two] = texts[one], next(label for label in LABELS if label != labels[one])
        rows["conflicting labels"].append(max(one, two))
    for _ in range(LEAKS):
        one, two = chosen.pop(), next(into_test)
        texts[two], labels[two] = texts[one].upper(), labels[one]
        rows["leaks"].append(two)
    for number in range(PERSONAL):
        one = chosen.pop()
        texts[one] += f" Please {PRIVATE[number % len(PRIVATE)].format(number)}."
        rows["personal data"].append(one)
    return Planted(texts, labels, rows)


def _nearly(text: str, words: list[str], rng: np.random.Generator) -> str:
    """Return a text with one word in thirty replaced, one at least, and another order number."""
    parts = text.split(" ")
    for at in rng.integers(1, len(parts) - 2, max(1, len(parts) // 30)):
        parts[at] = str(rng.choice(words))
    return re.sub(r"\d+\.$", f"{rng.integers(10_000, 10_000_000)}.", " ".join(parts))


def write(folder: Path, suffix: str, sentences: int) -> None:
    """Write a task of this kind of file, and what is planted in it."""
    folder.mkdir(parents=True, exist_ok=True)
    made, train = planted(sentences), ROWS - TEST
    for name, part in (("train", slice(0, train)), ("test", slice(train, ROWS))):
        if suffix == "csv":
            with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, quoting=csv.QUOTE_ALL)
                writer.writerow(["message", "team"])
                writer.writerows(zip(made.texts[part], made.labels[part], strict=True))
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            table = pa.table({"message": made.texts[part], "team": made.labels[part]})
            pq.write_table(table, folder / f"{name}.parquet", row_group_size=100_000)
    (folder / "task.yaml").write_text(TASK.format(labels=", ".join(LABELS), suffix=suffix), encoding="utf-8")
    (folder / "planted.json").write_text(json.dumps(made.rows), encoding="utf-8")


def origin(suffix: str, number: int) -> str:
    """Return where a row stands, as findings say it."""
    train = ROWS - TEST
    name, at = ("train", number) if number < train else ("test", number - train)
    return f"{name}.csv:{at + 2}" if suffix == "csv" else f"{name}.parquet row {at + 1}"


def measured(folder: Path, suffix: str) -> Iterator[str]:
    """Run the command; yield what it took, and what it found."""
    began = time.monotonic()
    command = [sys.executable, "-m", "optimizer", "tasks", "check", str(folder), "--json"]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(command, stdout=out, stderr=errors) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds, processor = time.monotonic() - began, used.ru_utime + used.ru_stime
        out.seek(0)
        errors.seek(0)
        printed, said = out.read(), errors.read()
    size = sum(file.stat().st_size for file in folder.glob(f"*.{suffix}")) / 1e9
    yield (
        f"{suffix}, {ROWS:,} rows, {size:.2f} GB: {seconds:.0f} s, {processor:.0f} s of processors, "
        f"{used.ru_maxrss * 1024 / 1e9:.2f} GB at most, exit code {process.returncode}"
    )
    if not printed:
        yield said
        return
    findings = json.loads(printed)["findings"]
    planted_rows = json.loads((folder / "planted.json").read_text(encoding="utf-8"))
    for kind, names in KINDS.items():
        groups = [group for finding in findings if finding["kind"] in names for group in finding["examples"]]
        told = {re.sub(r" \((train|test|validation)\)$", "", one) for group in groups for one in group}
        wanted = {origin(suffix, number) for number in planted_rows[kind]}
        bare = [{re.sub(r" \(\w+\)$", "", one) for one in group} for group in groups]
        invented = sum(not group & wanted for group in bare)
        yield f"  {kind}: {len(wanted & told)} of {len(wanted)} found, {len(wanted - told)} missed, {invented} invented"


def recall(sentences: int, near: int = 3000) -> str:
    """Return how many of so many near-duplicates among 40,000 rows no sketch says, with the median length of a row."""
    import pyarrow as pa

    from optimizer.task.sketches import Sketches

    made, sketches = planted(sentences, sentences, 40_000, near), Sketches()
    for start in range(0, len(made.texts), 8192):
        sketches.add(pa.array(made.texts[start : start + 8192], pa.large_string()))
    seen = {later for _, later in sketches.alike().tolist()}
    letters = int(np.median([len(text) for text in made.texts]))
    return f"{letters} letters: {len(set(made.rows['near-duplicates']) - seen)} of {near:,} near-duplicates missed"


def main() -> None:
    """Write what is not there, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=("parquet", "csv"))
    parser.add_argument("--write", action="store_true", help="write the files, and run nothing")
    parser.add_argument("--recall", action="store_true", help="count the near-duplicates that the survey misses")
    asked = parser.parse_args()
    if asked.recall:
        sys.stdout.writelines(f"{recall(sentences)}\n" for sentences in (2, 4, 12))
        return
    for suffix, sentences in (("parquet", 4), ("csv", 44)):
        if asked.only not in (None, suffix):
            continue
        folder = asked.folder / suffix
        if asked.write:
            write(folder, suffix, sentences)
            continue
        if not (folder / "planted.json").exists():
            # In a process of its own: the memory of one that starts another counts as that one's, too.
            command = [sys.executable, "-m", "experiments.profile.measure", str(asked.folder), "--only", suffix]
            subprocess.run([*command, "--write"], check=True)
        for line in measured(folder, suffix):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    sys.stdout.write(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n")


if __name__ == "__main__":
    main()
