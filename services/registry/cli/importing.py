"""`registry import`: records a file's lines in their order, each once however often the file is imported."""

from __future__ import annotations

import os
import re
import signal
import stat
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

import msgspec
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from events.errors import CommandIdReused
from events.log.migrate import check
from services.registry.access.tokens import MAX_NAME
from services.registry.cli import failures
from services.registry.cli.failures import Unusable, UsedWrongly
from services.registry.cli.lines import Lines
from services.registry.commands import Actor, Commands
from services.registry.main import open_registry
from services.registry.settings import Settings, load

INTERRUPTED: Final = 130
KEY_PURPOSE: Final = "keys of imported lines"
KEY_USED: Final = (
    "its key was used before, by a line that says something else: further up in this file, or in one imported earlier. "
    "Give each line a key of its own, and a line that was recorded the key and the words that it had."
)
_ACTOR: Final = re.compile(rf"[^\x00-\x1f\x7f-\x9f]{{1,{MAX_NAME}}}")


class Tally(msgspec.Struct):
    """How far an import has come."""

    number: int = 0  # of the line that is being recorded, or was last
    lines: int = 0
    replayed: int = 0
    entries: int = 0

    def said(self) -> str:
        """Say it."""
        before = f", {self.replayed:,} of them before" if self.replayed else ""
        return f"Lines recorded: {self.lines:,}{before}. New entries: {self.entries:,}."


def import_file(file: str, actor: str) -> int:
    """Import a file; - is standard input. Whatever stops it is told with the number of its line."""
    settings = load(os.environ, needed=["database_url", "master_key_file"])
    if not _ACTOR.fullmatch(actor):
        raise UsedWrongly(f"1 to {MAX_NAME} characters, on one line", parameter="--as")
    tally = Tally()
    stopping = _Stopping()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stopping.asked_for)
    try:
        with _opened(file) as source:
            uvloop.run(_import(settings, source, Actor(actor), tally, stopping))
    except KeyboardInterrupt:
        sys.stderr.write(f"Interrupted. {tally.said()} Import the file again to go on.\n")
        return INTERRUPTED
    except Exception as error:
        if not tally.number:
            raise
        told = Unusable(KEY_USED) if isinstance(error, CommandIdReused) else error
        code = failures.told(told, f"line {tally.number}: ")
        sys.stderr.write(f"Stopped. {tally.said()} Mend it and import the file again: nothing is recorded twice.\n")
        return code
    sys.stdout.write(f"{tally.said()}\n")
    return 0


class _Stopping:
    """What Ctrl-C and SIGTERM do: they end the wait for a line at once, and else take effect when the line is recorded.

    asyncio's own handler would only take note of it, and go on waiting for the next line of a pipe. An exception that
    is raised wherever the program happens to be may be lost there. Pressed again, it is raised all the same.
    """

    def __init__(self) -> None:
        self._asked = False
        self._waiting = False

    def asked_for(self, *_what: object) -> None:
        """Handle the signal."""
        if self._waiting or self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def until(self, source: BinaryIO) -> Iterator[bytes]:
        """Yield the lines. Raises KeyboardInterrupt."""
        while True:
            self._waiting = True
            if self._asked:
                raise KeyboardInterrupt
            line = source.readline()
            self._waiting = False
            if not line:
                return
            yield line


async def _import(settings: Settings, source: BinaryIO, actor: Actor, tally: Tally, stopping: _Stopping) -> None:
    await check(settings.database_url)
    async with open_registry(settings) as parts:
        lines = Lines(parts.master.derive(KEY_PURPOSE))
        for line in _watched(source, tally, stopping):
            tally.number += 1
            if line.strip():
                await _record(parts.commands, lines, line, actor, tally)


async def _record(commands: Commands, lines: Lines, line: bytes, actor: Actor, tally: Tally) -> None:
    asked, key, problems = lines.read(line)
    answer = await commands.execute(asked, actor, key=key, problems=problems)
    tally.lines += 1
    if answer.replayed:
        tally.replayed += 1
    else:
        tally.entries += sum(1 + len(one.beside) for one in answer.results)


@contextmanager
def _opened(file: str) -> Generator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with open(file, "rb") as source:  # noqa: PTH123 - as it was given: an error names it so
        yield source


def _watched(source: BinaryIO, tally: Tally, stopping: _Stopping) -> Iterator[bytes]:
    """Yield the lines, and on a terminal show how far they have been recorded."""
    found = os.fstat(source.fileno())
    total = found.st_size if stat.S_ISREG(found.st_mode) else None
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("importing", total=total)
        for line in stopping.until(source):
            yield line
            progress.update(task, advance=len(line), description=f"{tally.number:,} lines")
