"""`eventsourcing` over PostgreSQL, run by the bench in an environment of its own: one JSON line in, one out."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

from eventsourcing.persistence import StoredEvent  # type: ignore[import-not-found] # pyright: ignore[reportMissingImports]
from eventsourcing.postgres import (  # type: ignore[import-not-found] # pyright: ignore[reportMissingImports]
    Factory,
    PostgresApplicationRecorder,
)
from eventsourcing.utils import Environment  # type: ignore[import-not-found] # pyright: ignore[reportMissingImports]
from psycopg.generators import send  # type: ignore[import-not-found] # pyright: ignore[reportMissingImports]

STREAM_LENGTH = 10
PAGE = 1_000


class Recorder(PostgresApplicationRecorder):  # type: ignore[misc]
    """Its recorder, which sends all of a statement before it waits for the answer.

    psycopg 3.3.9 does not in `Pipeline.sync`: it keeps what the socket did not take at once and waits to read, while
    the server waits for the rest. A Unix socket takes 208 kB, which is too little for a batch of 1,000 events.
    """

    def _insert_stored_events(self, curs: Any, stored_events: Any, **kwargs: Any) -> None:
        super()._insert_stored_events(curs, stored_events, **kwargs)
        curs.connection.wait(send(curs.connection.pgconn))


def main() -> None:  # noqa: C901 - one process, one client
    """Do what each line asks for; the mode is the first argument, the events' file the second."""
    unlocked = sys.argv[1] == "functions"
    settings = {**os.environ, "POSTGRES_POOL_SIZE": "32", "POSTGRES_MAX_OVERFLOW": "0"}
    settings["POSTGRES_ENABLE_DB_FUNCTIONS"] = "y" if unlocked else "n"
    settings[Factory.APPLICATION_RECORDER_TOPIC] = f"{__name__}:{Recorder.__name__}"
    factory = Factory(Environment("bench", settings))
    recorder = factory.application_recorder()
    encode = factory.transcoder().encode  # as all do, each time
    events = [(one["type"], one["data"]) for one in json.loads(Path(sys.argv[2]).read_text())]

    def record(entries: int, batch: int) -> None:
        stream, version = uuid4(), 0
        for _ in range(entries // batch):
            stored = []
            for _ in range(batch):
                if version == STREAM_LENGTH:
                    stream, version = uuid4(), 0
                topic, data = events[version]
                state = encode(data)
                version += 1
                stored.append(StoredEvent(originator_id=stream, originator_version=version, topic=topic, state=state))
            recorder.insert_events(stored)

    def append(tasks: int, entries: int, batch: int) -> float:
        with ThreadPoolExecutor(tasks) as threads:
            ready = threading.Barrier(tasks + 1)

            def one() -> None:
                ready.wait()
                record(entries // tasks, batch)

            done = [threads.submit(one) for _ in range(tasks)]
            ready.wait()
            begun = time.perf_counter()
            for each in done:
                each.result()
            return entries / (time.perf_counter() - begun)

    def read() -> float:
        begun, position, number = time.perf_counter(), 0, 0
        while page := recorder.select_notifications(position + 1, PAGE):
            for one in page:
                json.loads(one.state)
            number += len(page)
            position = page[-1].id
        return number / (time.perf_counter() - begun)

    for line in sys.stdin:
        asked = json.loads(line)
        rate = read() if asked["do"] == "read" else append(asked["tasks"], asked["entries"], asked["batch"])
        print(json.dumps({"rate": rate}), flush=True)
    factory.close()


if __name__ == "__main__":
    main()
