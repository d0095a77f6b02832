"""The address that is listened on: whether it is free, and how it is written."""

from __future__ import annotations

import socket
from typing import Final

from services.registry.cli.failures import Unusable
from services.registry.settings import InvalidSettings, Settings

ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on, if so asked


def claim(host: str, port: int) -> str:
    """Return the host as a number, if the port is free there. Raises `Unusable`.

    The server itself would share a port with another that listens on it in the same way (SO_REUSEPORT).
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as refused:
        where = url(host, port).removeprefix("http://")
        raise Unusable(f"{where} cannot be listened on: {_reason(refused)}.") from None
    return str(address[0])


def claim_metrics(settings: Settings, *, api: bool) -> None:
    """See that metrics can be shown where the settings say, if they do, and apart from the API where there is one.

    Raises `Unusable`, `InvalidSettings`.
    """
    if settings.metrics_port is None:
        return
    if api and settings.metrics_port == settings.port:
        raise InvalidSettings([f"REGISTRY_METRICS_PORT: {settings.port} is the API's. Allowed: another, or none."])
    claim(settings.metrics_host, settings.metrics_port)


def url(host: str, port: int) -> str:
    """Return where a client on this machine finds what listens on the host."""
    reached = ANY.get(host, host)
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}"


def _reason(refused: OSError) -> str:
    words = (refused.strerror or str(refused)).lower()
    return f"{words}; stop what listens there, or choose another port" if "in use" in words else words
