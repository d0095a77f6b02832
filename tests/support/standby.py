"""A primary and its hot standby, each a PostgreSQL of its own, and databases in both."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg

from services.registry.embedded import EmbeddedPostgres
from services.registry.embedded_data import give_away
from services.registry.embedded_process import account_for, environment, launch_argv
from services.registry.embedded_programs import find, runnable
from tests.support.cluster import EMBEDDED, Cluster, Database, scratch_folder
from tests.support.recording import connected, until

STANDBY = "standby"
"""The name by which the primary knows the standby."""

ABSENT = "absent"

# Who waits for the standby from now on hears of what it had already when it tells next, which it does every ten seconds
# unless it is told to.
TELLING = {"wal_receiver_status_interval": 1}

CAUGHT_UP = """
SELECT count(*) = 1 FROM pg_stat_replication
WHERE application_name = 'standby' AND state = 'streaming' AND replay_lsn >= pg_current_wal_lsn()
"""


@dataclass(frozen=True)
class Pair:
    """The two servers, and where a DSN of the primary leads on the other, or on whichever is asked for."""

    primary: EmbeddedPostgres
    standby: EmbeddedPostgres
    cluster: Cluster

    def on_standby(self, dsn: str) -> str:
        """The same database on the standby."""
        here, there = (urlsplit(server.tcp_dsn()).port for server in (self.primary, self.standby))
        return dsn.replace(f":{here}/", f":{there}/")

    def on_either(self, dsn: str, wanted: str) -> str:
        """The same database on the server that is `wanted` (libpq's target_session_attrs), the standby named first."""
        here, there = (urlsplit(server.tcp_dsn()).port for server in (self.primary, self.standby))
        return f"{dsn.replace(f':{here}/', f':{there},127.0.0.1:{here}/')}?target_session_attrs={wanted}"

    async def caught_up(self) -> None:
        """Wait until the standby shows all that the primary does."""
        async with connected(self.cluster.admin_dsn) as administrator:
            await until(lambda: administrator.fetchval(CAUGHT_UP))

    @asynccontextmanager
    async def paused(self) -> AsyncGenerator[None]:
        """Let the standby take in what the primary sends, and show nothing of it, until this is left."""
        async with connected(self.on_standby(self.cluster.admin_dsn)) as administrator:
            await administrator.execute("SELECT pg_wal_replay_pause()")
            await until(lambda: administrator.fetchval("SELECT pg_get_wal_replay_pause_state() = 'paused'"))
            try:
                yield
            finally:
                await administrator.execute("SELECT pg_wal_replay_resume()")

    @asynccontextmanager
    async def waiting_for(self, names: str) -> AsyncGenerator[asyncpg.Connection[asyncpg.Record]]:
        """Let commits wait for standbys until this is left; gives an administrator's connection to the primary.

        Nobody is the name of `ABSENT`: commits wait until they wait for another.
        """
        async with connected(self.cluster.admin_dsn) as administrator:
            try:
                await wait_for(administrator, names)
                yield administrator
            finally:
                await wait_for(administrator, "")


async def wait_for(administrator: asyncpg.Connection[asyncpg.Record], names: str) -> None:
    """Have commits wait for these standbys, from now on."""
    await administrator.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    await administrator.execute("SELECT pg_reload_conf()")
    await until(lambda: administrator.fetchval("SELECT current_setting('synchronous_standby_names') = $1", names))


@contextmanager
def paired() -> Iterator[Pair]:
    """Both servers, the standby streaming from the primary."""
    with scratch_folder() as home:
        home.mkdir(mode=0o711)
        with EmbeddedPostgres(home / "primary", tcp=True, settings=EMBEDDED) as primary:
            copy = home / "standby"
            copy.mkdir(mode=0o711)
            account = account_for(copy)
            data = copy / "data"
            data.mkdir(mode=0o700)
            give_away(account, data)
            programs = runnable(find(), account)
            source = urlsplit(primary.dsn()).query.replace("&", " ").replace("%2F", "/")
            done = subprocess.run(
                launch_argv(
                    account,
                    programs["pg_basebackup"],
                    f"--dbname={source} user=postgres application_name={STANDBY}",
                    f"--pgdata={data}",
                    "--write-recovery-conf",
                    "--checkpoint=fast",
                    "--wal-method=stream",
                ),
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
                env=environment(),
            )
            assert done.returncode == 0, done.stderr
            (copy / "password").write_text((primary.home / "password").read_text())
            with (
                EmbeddedPostgres(copy, tcp=True, settings=EMBEDDED | TELLING) as standby,
                Cluster(primary.tcp_dsn(), trusted=False) as cluster,
            ):
                yield Pair(primary, standby, cluster)


@contextmanager
def database_of(pair: Pair) -> Iterator[Database]:
    """A fresh, migrated database, on both."""
    with pair.cluster.database() as made:
        yield made
