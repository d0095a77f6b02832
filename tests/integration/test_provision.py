"""Roles, logins and grants on a database, and that running it again does no harm."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import asyncpg
import pytest

from events.log.migrate import migrate
from services.registry import provision
from tests.support.cluster import Cluster, Database
from tests.support.console import registry


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[Database]:
    """A database with its roles and grants, in which no migration has run."""
    with cluster.unmigrated_database() as made:
        yield made


async def fetch(dsn: str, query: str, *arguments: object) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("dsn", "role", "login"),
    [
        ("owner_dsn", "registry_owner", "registry_migrate"),
        ("service_dsn", "registry_service", "registry_serve"),
        ("projector_dsn", "registry_projector", "registry_project"),
        ("reader_dsn", "registry_reader", "registry_report"),
    ],
)
async def test_each_login_acts_as_its_role_from_the_start(empty: Database, dsn: str, role: str, login: str):
    assert await fetch(getattr(empty, dsn), "SELECT current_user::text, session_user::text") == [(role, login)]


async def test_nobody_logs_in_as_a_role_or_is_more_than_an_ordinary_user(empty: Database):
    rows = await fetch(
        empty.admin_dsn,
        "SELECT rolname::text, rolcanlogin, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
        " FROM pg_roles WHERE rolname = ANY ($1) ORDER BY rolname",
        [*provision.LOGINS, *provision.LOGINS.values()],
    )

    assert rows == [
        ("registry_migrate", True, False),
        ("registry_owner", False, False),
        ("registry_project", True, False),
        ("registry_projector", False, False),
        ("registry_reader", False, False),
        ("registry_report", True, False),
        ("registry_serve", True, False),
        ("registry_service", False, False),
    ]


async def test_the_database_is_the_owners_and_closed_to_everybody_else(empty: Database):
    rights = "SELECT has_database_privilege($1, current_database(), $2)"

    assert await fetch(
        empty.admin_dsn, "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()"
    ) == [("registry_owner",)]
    assert (
        await fetch(
            empty.admin_dsn,
            "SELECT grantee FROM pg_database, aclexplode(datacl) WHERE datname = current_database() AND grantee = 0",
        )
        == []
    )
    for role, right, held in [
        ("registry_reader", "CONNECT", True),
        ("registry_reader", "CREATE", False),
        ("registry_service", "CREATE", False),
        ("registry_service", "TEMPORARY", False),
        ("registry_projector", "CREATE", True),
    ]:
        assert await fetch(empty.admin_dsn, rights, role, right) == [(held,)], (role, right)


async def test_what_the_projector_makes_is_its_roles_own(empty: Database):
    await fetch(empty.projector_dsn, "CREATE SCHEMA made")

    assert await fetch(empty.admin_dsn, "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'made'") == [
        ("registry_projector",)
    ]


async def test_text_is_compared_by_code_point_wherever_the_cluster_was_made(empty: Database):
    words = "SELECT string_agg(w, ' ' ORDER BY w) FROM unnest(ARRAY['é', 'z', 'Z', 'a']) AS t (w)"

    assert await fetch(empty.service_dsn, words) == [("Z a z é",)]


async def test_provisioning_again_keeps_what_is_there(empty: Database):
    await migrate(empty.owner_dsn)
    before = await fetch(empty.admin_dsn, "SELECT datacl::text FROM pg_database WHERE datname = current_database()")

    await provision.provision(empty.admin_dsn, empty.name)
    await provision.grant(empty.admin_dsn)

    after = await fetch(empty.admin_dsn, "SELECT datacl::text FROM pg_database WHERE datname = current_database()")
    assert after == before
    assert await fetch(empty.service_dsn, "SELECT size FROM log.head") == [(0,)]


async def test_an_administrator_need_not_be_a_superuser(cluster: Cluster, empty: Database):
    admin = "registry_test_administrator"
    name = f"{empty.name}_managed"
    await fetch(empty.admin_dsn, f"CREATE ROLE {admin} LOGIN CREATEDB CREATEROLE PASSWORD 'made-up'")
    managed = provision.dsn_for(cluster.admin_dsn, database="postgres", user=admin, password="made-up")
    try:
        for role in (*provision.LOGINS, *provision.LOGINS.values()):
            await fetch(empty.admin_dsn, f"GRANT {role} TO {admin} WITH ADMIN OPTION")

        for _ in range(2):
            await provision.provision(managed, name)

        owner = "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = $1"
        assert await fetch(empty.admin_dsn, owner, name) == [("registry_owner",)]
    finally:
        await fetch(empty.admin_dsn, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await fetch(empty.admin_dsn, f"DROP OWNED BY {admin}")
        await fetch(empty.admin_dsn, f"DROP ROLE {admin}")


@pytest.mark.parametrize("database", ["postgres", "template1"])
async def test_a_maintenance_database_is_never_given_away(cluster: Cluster, database: str):
    with pytest.raises(asyncpg.RaiseError, match=r"run roles\.sql in the registry's own database"):
        await provision.grant(provision.dsn_for(cluster.admin_dsn, database=database))


async def test_a_database_in_another_encoding_is_refused(cluster: Cluster, empty: Database):
    name = f"{empty.name}_latin"
    await fetch(empty.admin_dsn, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        with pytest.raises(asyncpg.RaiseError, match="encoded in LATIN1: the registry needs one in UTF8"):
            await provision.provision(empty.admin_dsn, name)
    finally:
        await fetch(empty.admin_dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def test_names_and_passwords_are_taken_literally(empty: Database, monkeypatch: pytest.MonkeyPatch):
    name, login, password = f'{empty.name} "odd"; --', f"{empty.name} 'odd'; %", "it's \\ a @:/ pass%word"
    logins = {f"{login} {role}": role for role in provision.LOGINS.values()}
    monkeypatch.setattr(provision, "LOGINS", logins)
    try:
        access = await provision.provision(empty.admin_dsn, name, passwords=dict.fromkeys(logins, password))

        assert await fetch(access.service, "SELECT current_database()::text") == [(name,)]
    finally:
        quoted = name.replace('"', '""')
        await fetch(empty.admin_dsn, f'DROP DATABASE IF EXISTS "{quoted}" WITH (FORCE)')
        for made in logins:
            await fetch(empty.admin_dsn, f'DROP ROLE IF EXISTS "{made}"')


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("postgresql://postgres@/postgres?host=/a/b&port=1", "postgresql://u%40:p%3A@/my%20db?host=/a/b&port=1"),
        ("postgresql:///postgres?host=/a&user=x&dbname=y", "postgresql://u%40:p%3A@/my%20db?host=/a"),
        ("postgres://a:b@one:1,two:2/d?sslmode=require", "postgres://u%40:p%3A@one:1,two:2/my%20db?sslmode=require"),
        ("postgresql://host", "postgresql://u%40:p%3A@host/my%20db"),
    ],
)
def test_a_dsn_is_turned_to_another_database_and_user(dsn: str, expected: str):
    assert provision.dsn_for(dsn, database="my db", user="u@", password="p:") == expected


def test_a_dsn_keeps_its_user_unless_another_is_given():
    assert provision.dsn_for("postgresql://a:b@h/d", database="e") == "postgresql://a:b@h/e"


@pytest.fixture
def uris(cluster: Cluster) -> Iterator[dict[str, str]]:
    """The settings of `registry provision` for a database that is not there yet, with a password for each login."""
    name = f"registry_test_{secrets.token_hex(4)}"
    passwords = {login: f"p@ss/{login}" for login in provision.LOGINS}
    access = provision.access(cluster.admin_dsn, name, passwords=passwords)
    yield {
        "REGISTRY_ADMIN_DATABASE_URL": cluster.admin_dsn,
        "REGISTRY_OWNER_DATABASE_URL": access.owner,
        "REGISTRY_DATABASE_URL": access.service,
        "REGISTRY_PROJECTOR_DATABASE_URL": access.projector,
        "REGISTRY_READER_DATABASE_URL": access.reader,
    }
    cluster.drop(name)


def test_the_command_makes_what_the_uris_name_however_often_it_is_run(uris: dict[str, str]):
    for _ in range(2):
        done = registry("provision", settings=uris)
        assert done.returncode == 0, done.stderr
        assert "p@ss" not in done.stdout + done.stderr
    owner = {"REGISTRY_OWNER_DATABASE_URL": uris["REGISTRY_OWNER_DATABASE_URL"]}
    assert registry("migrate", settings=owner).returncode == 0


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"REGISTRY_DATABASE_URL": "postgresql://registry_migrate:p@h/d"}, "has to be registry_serve"),
        ({"REGISTRY_READER_DATABASE_URL": "postgresql://registry_report@h/d"}, "no password in it"),
        ({"REGISTRY_DATABASE_URL": "postgresql://registry_serve:p@h/another"}, "the same in each"),
        ({"REGISTRY_ADMIN_DATABASE_URL": ""}, "REGISTRY_ADMIN_DATABASE_URL"),
    ],
)
def test_the_command_refuses_uris_that_do_not_describe_one_registry(
    uris: dict[str, str], changed: dict[str, str], told: str
):
    refused = registry("provision", settings=uris | changed)
    assert refused.returncode == 2
    assert told in refused.stderr


async def test_the_login_of_backups_replicates_and_is_kept_out_of_the_registrys_database(
    cluster: Cluster, empty: Database
):
    password = secrets.token_hex(8)
    for _ in range(2):
        await provision.provision_backup(
            cluster.admin_dsn, provision.dsn_for(empty.admin_dsn, database="postgres"), password
        )
    try:
        rows = await fetch(
            empty.admin_dsn,
            "SELECT rolcanlogin, rolreplication, rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls,"
            " has_database_privilege(r.oid, $2, 'CONNECT'),"
            " ARRAY(SELECT pg_get_userbyid(roleid)::text FROM pg_auth_members WHERE member = r.oid ORDER BY 1)"
            " FROM pg_roles AS r WHERE rolname = $1",
            provision.BACKUP,
            empty.name,
        )
        assert rows == [(True, True, False, False, ["pg_checkpoint", "pg_read_all_settings", "pg_read_all_stats"])]
    finally:
        await forget_backup(cluster.admin_dsn)


async def forget_backup(admin_dsn: str) -> None:
    """What the login was granted is in the database `postgres`, which the cluster's other users share."""
    connection = await asyncpg.connect(provision.dsn_for(admin_dsn, database="postgres"))
    try:
        await connection.execute(f"DROP OWNED BY {provision.BACKUP}")
        await connection.execute(f"DROP ROLE {provision.BACKUP}")
    finally:
        await connection.close()
