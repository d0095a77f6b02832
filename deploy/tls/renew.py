"""Lets the proxy in whose container this runs serve with the certificate that is in place; connections stay open."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

CERTIFICATE = Path("/run/secrets/tls.pem")
SOCKET = "/dev/shm/haproxy.sock"  # noqa: S108 - of this container alone


def ask(command: str) -> str:
    """Return what HAProxy answers to a command of its runtime API."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(SOCKET)
        connection.sendall(f"{command}\n".encode())
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


def main() -> None:
    """Hand the certificate over, and end with 1 if HAProxy does not take it."""
    pem = "\n".join(line for line in CERTIFICATE.read_text(encoding="ascii").splitlines() if line)
    said = ask(f"set ssl cert {CERTIFICATE} <<\n{pem}\n") + ask(f"commit ssl cert {CERTIFICATE}")
    if "Success!" not in said:
        sys.exit(f"The proxy goes on with the certificate that it has: {said.strip()}")


if __name__ == "__main__":
    main()
