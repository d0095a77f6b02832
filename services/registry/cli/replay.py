"""`registry replay`: history on the console, or into another database."""

from __future__ import annotations

import os
import re
import sys

from rich.console import Console
from rich.text import Text

from events.errors import NotFound
from events.log import Reader
from events.log.migrate import check
from events.log.servers import create_pool
from services.registry import journal
from services.registry.access.actions import Action
from services.registry.access.record import Looked, record
from services.registry.cli import working
from services.registry.cli.failures import UsedWrongly
from services.registry.cli.operator import operator
from services.registry.cli.replica import replay_into
from services.registry.narration import Narrator, Told
from services.registry.settings import Settings, load

STREAM = re.compile("[a-z]{1,20}/[a-z]{1,20}_[0-9a-z]{26}")


def replay(to: int | None, subject: str | None, into: str | None) -> int:
    """Tell the entries, or copy them. Whoever reads may stop reading when they have seen enough."""
    settings = load(os.environ, needed=["database_url"])
    journal.configure("debug" if settings.log_level == "debug" else "warning", settings.log_format)
    if subject is not None and into is not None:
        raise UsedWrongly("a replay into a database is of all streams", parameter="--subject")
    if subject is not None and not STREAM.fullmatch(subject):
        raise UsedWrongly("expected the name of a stream, such as cooperation/coop_…", parameter="--subject")
    if into == "":
        raise UsedWrongly("expected where an empty database is, such as postgresql://…", parameter="--into")
    try:
        code = working.to_its_end(_replay(settings, to, subject, into))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter fails to flush it
        return 0
    return code


async def _replay(settings: Settings, to: int | None, subject: str | None, into: str | None) -> int:
    await check(settings.database_url)
    options = {"application_name": "registry replay"}
    async with create_pool(settings.database_url, min_size=1, max_size=1, server_settings=options) as pool:
        reader = Reader(pool)
        head = (await reader.head()).size
        if to is not None and to > head:
            raise UsedWrongly(f"the log has {head} entries", parameter="--to")
        size = head if to is None else to
        asked = {"size": size, "into": into is not None} | ({} if subject is None else {"subject": subject})
        await record(pool, Looked(operator(), Action.REPLAY_LOG, asked))
        if into is not None:
            sys.stdout.write(await replay_into(into, reader, size))
            return 0
        narrator = Narrator(reader)
        found = False
        entries = reader.iterate(below=size) if subject is None else reader.iterate_stream(subject, below=size)
        async for recorded in entries:
            _write(await narrator.tell(recorded))
            found = True
        if subject is not None and not found:
            raise NotFound(f"The log has no entry of {subject} below size {size}.")
        return 0


def _write(told: Told) -> None:
    """Write an entry in one line or two: on a terminal so that the eye finds what happened, else plainly."""
    if sys.stdout.isatty():
        line = Text.assemble(
            (f"{told.position:>9,}  {told.time}  ", "dim"), (told.what, "bold"), f" {told.thing}  ", (told.by, "dim")
        )
        if told.particulars:
            line.append(f"\n           {told.particulars}")
        Console(highlight=False, markup=False, soft_wrap=True).print(line)
        return
    sys.stdout.write(f"{told.position:>9}  {told.time}  {told.what}: {told.thing}  [{told.by}]\n")
    if told.particulars:
        sys.stdout.write(f"           {told.particulars}\n")
