"""metier: an automatic prompt optimizer that proves its prompt is better.

The public names are loaded on first use, so that `metier --help` need not import dspy.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optimizer.job.load import load_prompt
    from optimizer.job.optimize import optimize, optimize_async
    from optimizer.job.result import Result
    from optimizer.task.load import load_task
    from optimizer.task.task import Task

# DSPy and litellm would ask the network for a price list at first use, and warn when offline.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

__version__ = "0.1.0"
__all__ = ["Result", "Task", "load_prompt", "load_task", "optimize", "optimize_async"]

_HOMES = {
    "Result": "optimizer.job.result",
    "Task": "optimizer.task.task",
    "load_prompt": "optimizer.job.load",
    "load_task": "optimizer.task.load",
    "optimize": "optimizer.job.optimize",
    "optimize_async": "optimizer.job.optimize",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'optimizer' has no attribute '{name}'")
