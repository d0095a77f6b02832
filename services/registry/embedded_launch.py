"""Turns into a program that ends with whoever started it; run as a script in a fresh interpreter.

    python -I -S embedded_launch.py PARENT USER GROUP PROGRAM [ARGUMENT ...]

PARENT is the starter's process id; USER and GROUP are numbers to become, or `-` to stay who we are.
On Linux the kernel sends the program SIGINT (PostgreSQL: fast shutdown) when the *thread* that
started this script dies, be it by SIGKILL (prctl(2), PR_SET_PDEATHSIG). That setting is forgotten
when the user changes and kept over exec, hence the order below.

It is a script, not a function called between fork and exec, because that is not safe in a process
that has threads. Standard library only; imported by nobody.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def _become(user: str, group: str) -> None:
    """Drop every privilege, supplementary groups included, or fail."""
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))


def _die_with(parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before the kernel knew that we care
        sys.exit(1)


def main(arguments: list[str]) -> None:
    """Never returns: becomes the program, or exits with 126 and the reason on standard error."""
    parent, user, group, *program = arguments
    try:
        if user != "-":
            _become(user, group)
        if sys.platform == "linux":
            _die_with(int(parent))
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # this interpreter ignores it, and exec would pass that on
        os.execv(program[0], program)  # noqa: S606 (no shell is what we want)
    except OSError as error:
        sys.stderr.write(f"{program[0]}: {error}\n")
        sys.exit(126)


if __name__ == "__main__":
    main(sys.argv[1:])
