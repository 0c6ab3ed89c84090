from __future__ import annotations

import platform

from optimizer import __version__
from optimizer.system.versions import versions, versions_here


def test_versions_of_packages() -> None:
    found = versions("click", "no-such-package-at-all")
    assert found["click"][0].isdigit()
    assert found["no-such-package-at-all"] == "none"


def test_versions_of_all_that_figures_depend_on() -> None:
    found = versions_here()
    assert (found["metier"], found["python"]) == (__version__, platform.python_version())
    assert {"dspy", "optuna", "mlflow"} <= set(found)
    assert "none" not in {found[name] for name in ("dspy", "optuna", "mlflow", "numpy")}
