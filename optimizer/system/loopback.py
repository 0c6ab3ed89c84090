"""What is sent to an address of this machine stays here, so no proxy may be asked to bring it."""

from __future__ import annotations

import os

from optimizer.system.redact import split_url

_HOSTS = ("127.0.0.1", "localhost", "::1")
_VARIABLES = ("no_proxy", "NO_PROXY")


def is_loopback(url: str | None) -> bool:
    """Tell if an address is one of this machine's own; what is no address is not."""
    parts = split_url(url)
    return parts is not None and parts.hostname in _HOSTS


def bypass_proxies() -> None:
    """Let this process, and those that it starts, ask no proxy for this machine; see `Endpoint.on_this_machine`.

    Clients obey `http_proxy` and its like unseen, and most of them for this machine, too. Hosts that the user excepts
    stay excepted. Where the system, not the environment, names the proxies, nothing is set: the clients would then
    pass by all of them.
    """
    from urllib.request import getproxies_environment

    excepted = next(filter(None, map(os.environ.get, _VARIABLES)), "")
    if excepted.strip() == "*" or not getproxies_environment():
        return
    for name in _VARIABLES:
        hosts = [host.strip() for host in (os.environ.get(name) or excepted).split(",") if host.strip()]
        if missing := [host for host in _HOSTS if host not in hosts]:
            os.environ[name] = ",".join([*hosts, *missing])
