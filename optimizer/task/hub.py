"""Reader of a Hugging Face data set, where the package `datasets` is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from optimizer.errors import TaskError
from optimizer.task.rows import Reading, Records, Row, keep


def read_hub(name: str, reading: Reading | None = None) -> list[Row]:
    """Read the data set `owner/name` from the Hugging Face hub: its split 'train', or else its only one.

    Class labels become their names. Raises TaskError where `datasets` is missing or the set cannot be had.
    """
    try:
        import datasets
        from datasets.exceptions import DatasetsError
    except ImportError:
        what = f"hf: {name}: the package 'datasets' is not installed"
        raise TaskError(what, "Run: pip install datasets; or save the examples as .jsonl and give path.") from None
    try:
        sets = datasets.load_dataset(name)
    except (DatasetsError, OSError, ValueError, RuntimeError) as problem:
        remedy = "Check the name (owner/name) and the network; or save the examples as .jsonl and give path."
        raise TaskError(f"hf: {name}: cannot be loaded ({problem})", remedy) from None
    split = "train" if "train" in sets else next(iter(sets))
    if split != "train" and len(sets) > 1:
        raise TaskError(f"hf: {name}: has no split 'train'", f"It has {', '.join(sets)}; save one and give path.")
    if not len(sets[split]):
        raise TaskError(f"hf: {name}: has no examples in '{split}'", "Choose another data set.")
    return rows_of_dataset(sets[split], f"hf:{name}[{split}]", reading)


def rows_of_dataset(dataset: Any, label: str, reading: Reading | None = None) -> list[Row]:
    """Return the rows of a `datasets.Dataset`; class labels become their names."""
    to_name = {key: kind.int2str for key, kind in dataset.features.items() if hasattr(kind, "int2str")}

    def row(raw: tuple[int, Any]) -> Row:
        values = {key: _named(to_name.get(key), value) for key, value in raw[1].items()}
        return Row(values, f"{label} row {raw[0]}")

    raw = enumerate(dataset, 1)
    return list(map(row, raw)) if reading is None else keep(Records(raw, row), label, reading)


def _named(to_name: Callable[[int], str] | None, value: Any) -> Any:
    # The hub writes -1 for a label that is withheld.
    if to_name is None or value is None:
        return value
    return None if value == -1 else to_name(value)
