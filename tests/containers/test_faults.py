"""Faults that the stack has to be prepared for: a disk that can be filled, a replica whose clock is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from docker.models.containers import Container

from tests.support import engine
from tests.support.engine import Compose
from tests.support.faults import CLIENTS, back_in_time, loaded

PATIENCE = 10.0  # REGISTRY_COMMAND_TIMEOUT: as long a command is kept, in case there is room again
DISK: dict[str, str] = {"type": "tmpfs", "device": "tmpfs", "o": "size=400m"}
FILL = "dd if=/dev/zero of=/disk/filler bs=64k 2>&1 | grep -q 'No space left'"


@pytest.fixture(scope="module")
def disk(compose: Compose) -> Iterator[Container]:
    """Hold PostgreSQL's volume, made of a bounded size beforehand: what is in it outlives PostgreSQL's container."""
    volume = compose.docker.volumes.create(
        f"{compose.project}_postgres",
        driver_opts=DISK,
        labels={"com.docker.compose.project": compose.project, "com.docker.compose.volume": "postgres"},
    )
    holder = compose.docker.containers.run(
        engine.IMAGE,
        ["infinity"],
        entrypoint="sleep",
        user="0",
        detach=True,
        init=True,
        volumes={volume.name: {"bind": "/disk", "mode": "rw"}},
    )
    try:
        yield holder
    finally:
        holder.remove(force=True)


@pytest.fixture(scope="module")
def stack(compose: Compose, disk: Container) -> Compose:
    compose.up()
    return compose


async def test_a_full_disk_refuses_commands_until_there_is_room_again(stack: Compose, disk: Container):
    async with loaded(stack, "full-disk") as load:
        filled = await asyncio.to_thread(disk.exec_run, ["sh", "-c", FILL])
        assert filled.exit_code == 0, filled.output
        async with asyncio.timeout(2 * PATIENCE):
            await load.refused(CLIENTS)
        freed = await asyncio.to_thread(disk.exec_run, ["rm", "/disk/filler"])
        assert freed.exit_code == 0, freed.output
        await back_in_time(stack, load)
