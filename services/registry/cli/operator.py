"""Who runs a command, as the access record has it."""

from __future__ import annotations

import os
import pwd
import socket

from services.registry.access.record import Who


def operator() -> Who:
    """Return the account that runs this process and the host it runs on; variables such as USER are not believed."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:  # as in a container that is run under a number
        name = f"uid-{number}"
    return Who(name=f"{name}@{socket.gethostname()}")
