"""The process that projects a share of the streams: `python -m projections.share`, started by `projections.shares`.

It reads its assignment from standard input, writes a report a line to standard output, and ends when it is done or
whoever started it is gone.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading

import msgspec

from events.errors import Corrupt
from events.log.failure import TRANSIENT
from events.log.servers import connect
from projections import MODELS
from projections.engine import QUERIES, REBUILD_BATCH, SESSION, Projection
from projections.shares import SHARES, Assignment, Report


def main() -> None:
    """Do what standard input says."""
    assignment = msgspec.json.decode(sys.stdin.buffer.readline(), type=Assignment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        asyncio.run(_project(assignment))
    except TRANSIENT as lost:
        _report(Report(lost=type(lost).__name__))
    except Corrupt as found:
        _report(Report(corrupt=found.detail, code=found.code))


async def _project(assignment: Assignment) -> None:
    models = [model for model in MODELS if assignment.alone in {None, model.name}]
    session = {**SESSION, "application_name": "registry-rebuild-share"}
    connection = await connect(assignment.dsn, server_settings=session)
    try:
        await connection.execute(QUERIES["hold_share"], SHARES, assignment.generation)
        projection = Projection(connection, assignment.generation, 0, live=False, models=models, share=assignment.share)
        await projection.catch_up(
            assignment.until, batch=REBUILD_BATCH, progress=lambda position: _report(Report(position=position))
        )
    finally:
        connection.terminate()
    _report(Report(position=projection.position, projected=projection.projected))


def _report(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):  # there is no more, so it returns when the other side is closed
        pass
    os._exit(1)


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)  # there are hardly any cycles, and looking for them takes time
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the group; who started this decides what it means
    main()
