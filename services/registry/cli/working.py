"""Long work at a terminal: a bar that shows how far it is, and an end in order when it is interrupted."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, Final

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

INTERRUPTED: Final = 130


def to_its_end(work: Coroutine[Any, Any, int]) -> int:
    """Do the work and return its exit code. Ctrl-C and SIGTERM cancel it, so that it leaves things in order."""
    return uvloop.run(_cancellable(work))


async def _cancellable(work: Coroutine[Any, Any, int]) -> int:
    working = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, working.cancel)
    await asyncio.wait([working])
    if working.cancelled():
        sys.stderr.write("Interrupted.\n")
        return INTERRUPTED
    return working.result()


@contextmanager
def bar(what: str, total: int) -> Generator[Callable[[int], None]]:
    """Show on a terminal how many entries of a total are done; yields what is to be told it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)
