"""All checks, one after the other; one that cannot be made says so, and keeps none of the others from being made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import MappingProxyType
from typing import Final

import msgspec

from events.errors import RegistryError
from events.log import migrate
from events.log.failure import FAILURES
from events.log.read import Pool
from events.log.servers import create_pool
from projections.engine import version_of
from services.registry import base_backups
from services.registry.clock import Clock, now
from services.registry.doctor import (
    backup,
    clocks,
    configuration,
    disk,
    grants,
    keys,
    projection,
    reading,
    replication,
)
from services.registry.doctor.finding import Finding, Verdict, failed, ok, skipped
from services.registry.settings import InvalidSettings, Settings
from services.registry.signing import policy

CONNECT_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0
STATEMENT_SECONDS: Final = 30.0
# What is not looked at without a database in this program's form; keys are looked at as far as that goes without.
OF_THE_LOG: Final[Mapping[str, str]] = MappingProxyType(
    {
        grants.AREA: "grants",
        clocks.AREA: "last-entry",
        keys.AREA: "signing",
        projection.AREA: "projector",
    }
)
OF_THE_SERVER: Final[Mapping[str, str]] = MappingProxyType({replication.AREA: "standbys", backup.AREA: "archive"})


class Examination(msgspec.Struct, frozen=True):
    """What all checks said, and the gravest of it; what was skipped does not count."""

    verdict: Verdict
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Examination:
        """Sum findings up."""
        found = tuple(findings)
        said = {one.verdict for one in found}
        return cls(next((one for one in (Verdict.FAILED, Verdict.WARNING) if one in said), Verdict.OK), found)


def unset(error: InvalidSettings) -> Examination:
    """Say what is wrong with the settings: nothing else can be looked at then."""
    advice = "Set it right; `registry settings` shows every setting and what is allowed."
    return Examination.of(failed(configuration.AREA, "settings", problem, advice) for problem in error.problems)


async def examine(settings: Settings, clock: Clock = now) -> Examination:
    """Make all checks as the service's role, and as the owner those that only a monitor can make."""
    findings = [ok(configuration.AREA, "settings", "the settings are in order"), *_witnesses(settings)]
    try:
        async with _connected(settings.database_url) as pool:
            findings.append(ok(configuration.AREA, "database", "the database is reached"))
            findings += await _database(pool, settings, clock)
    except _Unreached as error:
        findings.append(
            failed(
                configuration.AREA,
                "database",
                f"the database cannot be reached: {error}",
                "Start PostgreSQL, and compare REGISTRY_DATABASE_URL with where it listens and whom it lets in.",
            )
        )
        why = "the database is not reached"
        findings += [skipped(area, name, why) for area, name in {**OF_THE_LOG, **OF_THE_SERVER}.items()]
        findings += [*keys.judge_master(settings.master_key_file, ()), *_key_disk(settings)]
    findings.append(_base_backup(settings, clock))
    return Examination.of(findings)


class _Unreached(Exception):
    """There is no connection."""


@asynccontextmanager
async def _connected(url: str) -> AsyncGenerator[Pool]:
    try:
        pool = await create_pool(
            url,
            min_size=1,
            max_size=2,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            server_settings={"application_name": "registry doctor"},
        )
    except FAILURES as error:
        raise _Unreached(str(error) or type(error).__name__) from error
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()
        except FAILURES:  # it is gone already, and has nothing to be taken leave of
            pool.terminate()


async def _database(pool: Pool, settings: Settings, clock: Clock) -> list[Finding]:
    async with AsyncExitStack() as stack:
        monitor, findings = await _monitor(stack, pool, settings)
        watch = monitor or pool
        findings += await _tried(configuration.AREA, lambda: _server(pool))
        schema = await _tried(configuration.AREA, lambda: _schema(pool))
        findings += schema
        if all(one.verdict is Verdict.OK for one in schema):
            findings += await _log(pool, watch, settings, clock)
        else:
            why = "the database is not in the form that this program needs"
            findings += [skipped(area, name, why) for area, name in OF_THE_LOG.items()]
            findings += keys.judge_master(settings.master_key_file, ())
        findings += [*_key_disk(settings), *await _tried(disk.AREA, lambda: _space(watch))]
        findings += await _tried(replication.AREA, lambda: _replication(pool, monitor))
        findings += await _tried(backup.AREA, lambda: _backup(pool, monitor))
        return findings


async def _tried(area: str, check: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    """Make a check; that PostgreSQL or the log refuses it is what was found."""
    try:
        return await check()
    except (*FAILURES, RegistryError) as error:
        found = f"could not be looked at: {str(error) or type(error).__name__}"
        return [failed(area, "readable", found, "Mend what is said there, and look again.")]


def _witnesses(settings: Settings) -> list[Finding]:
    if settings.witness_file is None:
        return []
    try:
        witnessing = policy.read(settings.witness_file)
    except InvalidSettings as error:
        found, advice = "; ".join(error.problems), "Mend the file: docs/witnesses.md says how it is written."
        return [failed(configuration.AREA, "witnesses", found, advice)]
    found = f"{len(witnessing.witnesses)} witnesses, of whom {witnessing.quorum} have to cosign"
    return [ok(configuration.AREA, "witnesses", found)]


async def _monitor(stack: AsyncExitStack, pool: Pool, settings: Settings) -> tuple[Pool | None, list[Finding]]:
    """Return a connection that sees what is only for monitors: the service's own, the owner's, or none."""
    try:
        if await reading.is_monitor(pool):
            return pool, []
        if not settings.owner_database_url:
            return None, []
        owner = await stack.enter_async_context(_connected(settings.owner_database_url))
        return (owner if await reading.is_monitor(owner) else None), []
    except (_Unreached, *FAILURES) as error:
        found = f"the owner's connection cannot be used: {error}"
        advice = "Compare REGISTRY_OWNER_DATABASE_URL with what `registry migrate` uses, or leave it out."
        return None, [failed(configuration.AREA, "owner", found, advice)]


async def _server(pool: Pool) -> list[Finding]:
    return configuration.judge(await reading.server(pool))


async def _schema(pool: Pool) -> list[Finding]:
    async with pool.acquire() as connection:
        return [configuration.schema(migrate.load(), await migrate.applied(connection))]


async def _log(pool: Pool, watch: Pool, settings: Settings, clock: Clock) -> list[Finding]:
    return [
        *await _tried(grants.AREA, lambda: _grants(pool)),
        *await _tried(grants.AREA, lambda: _triggers(pool)),
        *await _tried(clocks.AREA, lambda: _clocks(pool, clock)),
        *await _tried(keys.AREA, lambda: _keys(pool, settings)),
        *await _tried(keys.AREA, lambda: _master(pool, settings)),
        *await _tried(projection.AREA, lambda: _projection(watch)),
        *await _tried(projection.AREA, lambda: _checkpoint(pool, settings)),
    ]


async def _grants(pool: Pool) -> list[Finding]:
    tables = await reading.tables(pool)
    makes_in, closed = await reading.schemas(pool)
    return [
        grants.judge_role(await reading.role(pool)),
        grants.judge_needed(tables, closed, await reading.functions(pool)),
        grants.judge_excess(tables, makes_in),
    ]


async def _triggers(pool: Pool) -> list[Finding]:
    program = "".join(migration.text for migration in migrate.load())
    return [grants.judge_triggers(await reading.triggers(pool), program)]


async def _clocks(pool: Pool, clock: Clock) -> list[Finding]:
    return clocks.judge(await reading.clocks(pool, clock), await reading.last_entry(pool))


async def _keys(pool: Pool, settings: Settings) -> list[Finding]:
    return keys.judge_ring(settings.key_dir, await reading.published(pool, settings.origin))


async def _master(pool: Pool, settings: Settings) -> list[Finding]:
    return list(keys.judge_master(settings.master_key_file, await reading.wrapped(pool)))


async def _projection(watch: Pool) -> list[Finding]:
    return projection.judge(await reading.projection(watch), version_of())


async def _checkpoint(pool: Pool, settings: Settings) -> list[Finding]:
    known = await reading.published(pool, settings.origin)
    unsigned = await reading.unsigned(pool, known)
    return [projection.judge_checkpoint(unsigned, signs=settings.key_dir is not None)]


def _key_disk(settings: Settings) -> list[Finding]:
    return [] if settings.key_dir is None else [disk.look("keys", settings.key_dir)]


async def _space(watch: Pool) -> list[Finding]:
    return disk.judge(await reading.space(watch))


async def _replication(pool: Pool, monitor: Pool | None) -> list[Finding]:
    slots = replication.judge_slots(await reading.slots(pool))
    if monitor is None:
        return [skipped(replication.AREA, "standbys", "only a monitor sees them", replication.MONITOR), slots]
    wanted = await reading.wanted_standbys(pool)
    return [replication.judge_standbys(await reading.standbys(monitor), wanted), slots]


async def _backup(pool: Pool, monitor: Pool | None) -> list[Finding]:
    receiver = next((one for one in await reading.slots(pool) if one.name == backup.RECEIVER), None)
    archive = backup.judge(await reading.archiving(pool), receiver)
    if monitor is None:
        return [archive, skipped(backup.AREA, "wal", "only a monitor sees how much there is", replication.MONITOR)]
    return [archive, backup.judge_backlog(await reading.backlog(monitor))]


def _base_backup(settings: Settings, clock: Clock) -> Finding:
    if settings.backup_status_file is None:
        return backup.untold("REGISTRY_BACKUP_STATUS_FILE is not set")
    try:
        return backup.judge_base(base_backups.read(settings.backup_status_file), clock())
    except base_backups.Untold as error:
        return backup.untold(str(error))
