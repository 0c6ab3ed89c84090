"""No client of ours asks a proxy for this machine, and what the user says of others stays."""

from __future__ import annotations

import os
from urllib.request import proxy_bypass

import httpx
import pytest
from support.proxies import proxy

from optimizer.system.loopback import bypass_proxies, is_loopback


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8080/v1", True),
        ("https://me:secret@LOCALHOST/v1", True),
        ("http://[::1]:5000", True),
        ("http://127.0.0.1.example.org/v1", False),
        ("http://localhost@example.org/v1", False),
        ("http://[bad", False),
        ("127.0.0.1", False),
        (None, False),
    ],
)
def test_which_addresses_are_this_machines(url: str | None, here: bool) -> None:
    assert is_loopback(url) == here


@pytest.mark.parametrize("names", [("no_proxy",), ("NO_PROXY",), ("no_proxy", "NO_PROXY")])
def test_hosts_that_the_user_excepts_stay_excepted(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(monkeypatch) as asked:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name)
        for name in names:
            monkeypatch.setenv(name, "intern.example.org, localhost")
        bypass_proxies()
        once = dict(os.environ)
        bypass_proxies()
        assert dict(os.environ) == once
        assert all(proxy_bypass(host) for host in ("intern.example.org", "127.0.0.1", "localhost", "::1"))
        assert not proxy_bypass("models.example.org")
        assert httpx.get("http://models.example.org").status_code == 502
    assert len(asked) == 1


@pytest.mark.parametrize("excepted", ["*", " * "])
def test_whoever_excepts_all_hosts_still_does(excepted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(monkeypatch, excepted):
        bypass_proxies()
        assert os.environ["no_proxy"] == excepted


def test_an_environment_without_a_proxy_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    before = dict(os.environ)
    bypass_proxies()
    assert dict(os.environ) == before
