"""The process that helps with a rebuild: `python -m projections.share`, started by `projections.shares`.

It reads where to connect, its assignment and then its orders from standard input, a line each, writes reports to
standard output, and ends when whoever started it closes the former or is gone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import msgspec
import uvloop

from events.codec import EVENT_TYPES
from events.errors import Corrupt
from events.forms import look_at
from events.log.failure import FAILURES, TRANSIENT
from events.log.servers import connect
from projections import MODELS
from projections.bulk import Filling, Work
from projections.engine import QUERIES, SESSION
from projections.garbage import look_seldom
from projections.shares import SHARES, Assignment, Report


async def _help() -> None:
    """Do what standard input says, until it ends."""
    orders: asyncio.Queue[bytes] = asyncio.Queue()
    listening = asyncio.create_task(_listen(orders))
    session = {**SESSION, "application_name": "registry-rebuild-share"}
    try:
        connection = await connect(msgspec.json.decode(await orders.get(), type=str), server_settings=session)
    except FAILURES as refused:  # whoever gives the orders is refused as well, and tells it
        _report(Report(lost=type(refused).__name__))
        return
    try:
        assignment = msgspec.json.decode(await orders.get(), type=Assignment)
        models = [model for model in MODELS if assignment.alone in {None, model.name}]
        await connection.execute(QUERIES["hold_share"], SHARES, assignment.generation)
        filling = Filling(connection, assignment.generation, assignment.until, models)
        while True:
            work = msgspec.json.decode(await orders.get(), type=Work)
            done = await filling.do(work, lambda entries: _report(Report(entries=entries)))
            _report(Report(done=done))
    finally:
        connection.terminate()
        listening.cancel()


async def _listen(orders: asyncio.Queue[bytes]) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        orders.put_nowait(line)
    os._exit(1)  # whoever gave the orders is gone, or wants no more: nothing is to be finished


def _report(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Help until there is no more to do; tell why, if it cannot be done."""
    try:
        uvloop.run(_help())
    except TRANSIENT as lost:
        _report(Report(lost=type(lost).__name__))
    except Corrupt as found:
        _report(Report(corrupt=found.detail, code=found.code))


if __name__ == "__main__":
    look_at(EVENT_TYPES.values())  # now, when there is nothing to do yet
    look_seldom()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the group; who started this decides what it means
    main()
