"""A sweep as its folder keeps it: the run that all cells share, as data, and the sweep's own file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from optimizer.config.load import read_run
from optimizer.config.schema import Notify
from optimizer.config.strict import validate
from optimizer.errors import ConfigError
from optimizer.sweep.schema import SweepConfig, load_sweep
from optimizer.system.files import exists
from optimizer.system.redact import HIDDEN, hide, scrub
from optimizer.types import canonical_json

NOBODY = Notify()


@dataclass(frozen=True)
class Spec:
    """`base` is the run's YAML as data, `sweep` the sweep's file, `source` where that was read.

    A relative task is looked for in the current folder, then in `roots`: where the sweep's and the run's file lie.
    `notify` is the run's webhook, which is told of the sweep instead; its address is not kept.
    """

    base: Mapping[str, Any]
    sweep: SweepConfig
    source: str
    roots: tuple[str, ...]
    notify: Notify = NOBODY

    def task_path(self, task: str) -> str:
        """Return where a task lies."""
        paths = [task, *(os.path.join(root, task) for root in self.roots)]
        return next((path for path in paths if exists(path)), task)

    def to_json(self) -> dict[str, Any]:
        """Return it as data, without keys and passwords."""
        data = {"base": dict(self.base), "sweep": self.sweep.model_dump(mode="json")}
        kept: dict[str, Any] = json.loads(scrub(json.dumps(data, default=str)))
        return {**kept, "source": self.source, "roots": list(self.roots), "notify": self.notify.url_env}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild it from `to_json`'s data; raises ConfigError where a password was left out that is needed."""
        if HIDDEN in canonical_json(data["base"]):
            remedy = f"Go on with `metier sweep {data['source']} --folder FOLDER`."
            raise ConfigError("the sweep's run holds a password, which is not kept", remedy)
        sweep = validate(SweepConfig, data["sweep"], data["source"], ConfigError)
        notify = Notify(url_env=data["notify"])
        return cls(data["base"], sweep, data["source"], tuple(data["roots"]), notify)


def read_spec(path: Path) -> Spec:
    """Read a sweep's file and the run that it is based on; raises ConfigError."""
    sweep = load_sweep(path)
    base = path.parent / sweep.base
    if not exists(base) and exists(sweep.base):
        base = Path(sweep.base)
    data = {**read_run(base)}
    here = Path(os.path.abspath(path)).parent
    roots = dict.fromkeys([os.getcwd(), str(here), str(Path(os.path.abspath(base)).parent)])
    if data.get("task") == str(base):  # the base is a task itself
        data = {**data, "task": os.path.abspath(base)}
    notify = validate(Notify, data.pop("notify", None) or {}, f"{base}: notify", ConfigError)
    hide(notify.url)
    return Spec(data, sweep, str(path), tuple(roots), notify)
