from __future__ import annotations

from optimizer.system.versions import versions


def test_versions_of_packages() -> None:
    found = versions("click", "no-such-package-at-all")
    assert found["click"][0].isdigit()
    assert found["no-such-package-at-all"] == "none"
