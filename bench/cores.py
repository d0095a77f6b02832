"""Confining this process and the server to one processor: what two give is measured beside what one gives."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import Silent


@contextmanager
def one_core(backend: int) -> Generator[None, None, None]:
    """Let this process and a PostgreSQL server on the same machine, known by a `backend`'s pid, share one processor.

    Processes that either starts meanwhile have no other; those that end are no concern. Raises `Silent` where no such
    server is on this machine, and `PermissionError` where it is not ours to confine.
    """
    if not _is_postgres(backend):
        raise Silent("the server is not on this machine, and cannot be confined to a processor")
    before = {pid: os.sched_getaffinity(pid) for pid in (os.getpid(), *_server(backend))}
    core = {min(os.sched_getaffinity(0))}
    try:
        for pid in before:
            os.sched_setaffinity(pid, core)
        yield
    finally:
        for pid, cores in before.items():
            if Path(f"/proc/{pid}").exists():
                os.sched_setaffinity(pid, cores)


def _is_postgres(pid: int) -> bool:
    comm = Path(f"/proc/{pid}/comm")
    return comm.exists() and comm.read_text().strip() == "postgres"


def _server(backend: int) -> Iterator[int]:
    """Yield the processes of the server that a backend is of: the one that started it, and all that it started."""
    postmaster = _parent(backend)
    yield postmaster
    yield from (
        int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit() and _parent(int(one.name)) == postmaster
    )


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:  # it has ended meanwhile
        return 0
