"""What is told of an error on the console: one line, the offending fields each on one of its own, and an exit code."""

from __future__ import annotations

import errno
import os
import select
import sys
import traceback
from collections.abc import Iterator
from typing import Final

from events.errors import FieldProblem, RegistryError
from services.registry.settings import InvalidSettings


class Unusable(Exception):
    """Something on this machine is not such that the command can do its work; the message says what to do."""


class UsedWrongly(Exception):
    """A parameter of a command has a value that it cannot have."""

    def __init__(self, says: str, *, parameter: str) -> None:
        super().__init__(f"{parameter}: {says}")


FAILED: Final = 1
WRONGLY: Final = 2  # used or set up
_OF_FILES: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)  # which no connection has


def told(error: Exception, where: str = "") -> int:
    """Write what is wrong, and where if that is known, to standard error and return the exit code."""
    first, *rest = _lines(error)
    sys.stderr.write("\n".join([f"registry: {where}{first}", *rest]) + "\n")
    if os.environ.get("REGISTRY_LOG_LEVEL") == "debug":
        traceback.print_exception(error)
    return WRONGLY if isinstance(error, InvalidSettings | UsedWrongly) else FAILED


def unread(error: Exception) -> bool:
    """Whether an error is that nobody reads standard output any more, which leads nowhere from then on."""
    if not isinstance(error, BrokenPipeError):
        return False
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    if not output.poll(0):
        return False
    _lead_nowhere()
    return True


def _give_up_output() -> None:
    """Let what standard output does not take be lost, if it is that which does not."""
    try:
        sys.stdout.flush()
    except OSError:
        _lead_nowhere()


def _lead_nowhere() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter fails to flush it


def _lines(error: Exception) -> Iterator[str]:
    from services.registry.embedded_process import EmbeddedPostgresError

    match error:
        case RegistryError():
            yield error.detail
            yield from (f"  {_where(one)}: {one.detail}" for one in error.problems)
        case InvalidSettings():
            yield "the settings are not in order."
            yield from (f"  {problem}" for problem in error.problems)
        case EmbeddedPostgresError() | Unusable() | UsedWrongly():
            yield str(error)
        case OSError() if not error.filename and error.errno in _OF_FILES:
            _give_up_output()
            yield f"the output cannot be written: {error.strerror}"
        case OSError() if not error.filename:
            where = "".join(f" at {note}" for note in getattr(error, "__notes__", ()))
            yield f"the database cannot be reached{where}: {error.strerror or error or 'it does not answer in time'}"
        case OSError():
            yield f"{error.filename}: {error.strerror}"
        case _ if type(error).__module__.startswith("asyncpg."):
            yield f"the database refuses: {error}"
        case _:
            yield f"failed with {type(error).__name__}: {error}"
            yield "  Set REGISTRY_LOG_LEVEL=debug to see where."


def _where(problem: FieldProblem) -> str:
    return problem.pointer or problem.parameter or problem.header or "/"
