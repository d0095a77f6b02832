"""`registry doctor` against a real database: nothing fails on a fresh one, and each thing that goes wrong is found."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from events.vault import MasterKey
from services.registry import provision
from services.registry.clock import Clock, now
from services.registry.doctor.examination import examine
from services.registry.doctor.finding import Finding, Verdict
from services.registry.settings import Settings
from services.registry.signing.keyring import KeyRing
from tests.support.check_log import check_log
from tests.support.cluster import Cluster, Database
from tests.support.console import Up, registry
from tests.support.recording import connected
from tests.support.service import ORIGIN, Service, execute, running, settings_for

OK, WARNING, FAILED, SKIPPED = Verdict
# What the tests' own server and machine decide: it may run without fsync, and the disk is as full as it is.
NOT_OURS = {"configuration durability", "configuration version", "disk keys", "disk database"}
EXPECTED = {
    "backup archive": WARNING,
    "backup base": WARNING,
    "backup wal": SKIPPED,
    "replication standbys": SKIPPED,
}


@pytest.fixture
async def service(database: Database, tmp_path: Path) -> AsyncGenerator[Service, None]:
    """A registry that serves and projects, in which somebody was recorded, with a checkpoint over it."""
    async with running(database, tmp_path) as opened:
        await opened.post("/v1/people", {"name": "Ada Lovelace"})
        await opened.get("/v1/people")
        assert opened.parts.signer is not None
        await opened.parts.signer.sign()
        yield opened
    await check_log(database.service_dsn)


async def look(settings: Settings, clock: Clock = now) -> dict[str, Finding]:
    return {f"{one.area} {one.name}": one for one in (await examine(settings, clock)).findings}


def not_ok(findings: Mapping[str, Finding]) -> dict[str, Verdict]:
    """What is not as it has to be, but for what the tests' machine decides."""
    return {name: one.verdict for name, one in findings.items() if one.verdict is not OK and name not in NOT_OURS}


def environment(settings: Settings) -> dict[str, str]:
    return {
        "REGISTRY_DATABASE_URL": settings.database_url,
        "REGISTRY_MASTER_KEY_FILE": str(settings.master_key_file),
        "REGISTRY_KEY_DIR": str(settings.key_dir),
        "REGISTRY_ORIGIN": settings.origin,
    }


async def test_of_an_installation_in_order_only_what_nobody_set_up_is_said(service: Service):
    findings = await look(service.parts.settings)
    assert not_ok(findings) == EXPECTED
    assert all(one.advice for one in findings.values() if one.verdict in (WARNING, FAILED))
    assert "pg_monitor" in findings["replication standbys"].advice
    assert "verifies with the current key" in findings["key checkpoint"].found
    assert "opens a key" in findings["key master"].found
    assert "1 of 1 entries" in findings["projector position"].found


@asynccontextmanager
async def login(database: Database, *attributes: str) -> AsyncGenerator[str, None]:
    """The URL of a login of its own: what is granted to the others holds in the whole cluster, for other tests too."""
    name, password = f"{database.name}_{secrets.token_hex(4)}", secrets.token_hex(8)
    await execute(database.admin_dsn, f"CREATE ROLE {name} LOGIN PASSWORD '{password}' {' '.join(attributes)}")
    try:
        yield provision.dsn_for(database.admin_dsn, database=database.name, user=name, password=password)
    finally:
        await execute(database.admin_dsn, f"DROP ROLE {name}")


async def test_a_monitor_sees_standbys_wal_and_the_projectors_pulse(service: Service, database: Database):
    async with login(database, "IN ROLE registry_service, pg_monitor") as url:
        findings = await look(replace(service.parts.settings, database_url=url))
    assert not_ok(findings) == {"backup archive": WARNING, "backup base": WARNING, "replication standbys": WARNING}
    assert "no standby" in findings["replication standbys"].found
    assert "heard of" in findings["projector running"].found
    assert "WAL" in findings["backup wal"].found


async def test_what_only_a_monitor_sees_is_looked_at_as_the_owner_where_the_service_is_none(
    service: Service, database: Database
):
    as_owner = replace(service.parts.settings, owner_database_url=database.owner_dsn)
    assert (await look(as_owner))["backup wal"].verdict is SKIPPED
    async with login(database, "IN ROLE registry_owner, pg_monitor") as url:
        assert (await look(replace(as_owner, owner_database_url=url)))["backup wal"].verdict is OK
    gone = await look(replace(as_owner, owner_database_url=url))
    assert (gone["configuration owner"].verdict, gone["backup wal"].verdict) == (FAILED, SKIPPED)


@pytest.mark.parametrize(
    ("statement", "name", "says"),
    [
        ("GRANT UPDATE ON log.entry TO registry_service", "grants excess", "UPDATE on log.entry"),
        ("GRANT DELETE ON log.entry TO PUBLIC", "grants excess", "DELETE on log.entry"),
        ("GRANT TRUNCATE ON log.entry TO registry_serve", "grants excess", "TRUNCATE on log.entry"),
        ("GRANT UPDATE (stream) ON log.entry TO registry_service", "grants excess", "UPDATE (columns) on log.entry"),
        ("GRANT CREATE ON SCHEMA log TO registry_service", "grants excess", "the schema log"),
        ("REVOKE INSERT ON log.entry FROM registry_service", "grants needed", "INSERT on log.entry"),
        ("REVOKE USAGE ON SCHEMA vault FROM registry_service", "grants needed", "the schema vault"),
        ("REVOKE EXECUTE ON FUNCTION log.append_batch FROM registry_service", "grants needed", "call log.append_batch"),
        ("ALTER TABLE log.entry OWNER TO registry_serve", "grants role", "the owner (registry_serve)"),
        ("ALTER TABLE log.entry DISABLE TRIGGER entry_refuses_change", "grants triggers", "disabled"),
        ("ALTER TABLE log.entry ENABLE TRIGGER entry_refuses_change", "grants triggers", "not ENABLE ALWAYS"),
        ("DROP TRIGGER record_refuses_change ON access.record", "grants triggers", "missing"),
        (
            """CREATE OR REPLACE FUNCTION log.refuse_change() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RETURN NULL; END $$""",
            "grants triggers",
            "another function",
        ),
        (
            """INSERT INTO migration.applied (version, name, sha256, milliseconds)
            VALUES (9999, 'of_tomorrow', repeat('0', 64), 1)""",
            "configuration schema",
            "9999 (of_tomorrow)",
        ),
    ],
)
async def test_what_an_administrator_did_to_the_database_is_found(
    database: Database, tmp_path: Path, statement: str, name: str, says: str
):
    settings = settings_for(database, tmp_path)
    assert (await look(settings))[name].verdict is OK
    await execute(database.admin_dsn, statement)
    finding = (await look(settings))[name]
    assert (finding.verdict, says in finding.found, bool(finding.advice)) == (FAILED, True, True), finding


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ("SUPERUSER IN ROLE registry_service", "a superuser"),
        ("CREATEROLE IN ROLE registry_service", "a role that makes roles"),
        ("IN ROLE registry_service, registry_owner", "the owner (registry_owner)"),
        ("IN ROLE registry_service, pg_write_all_data", "writes everywhere"),
    ],
)
async def test_a_login_that_can_do_more_than_the_service_is_found(
    database: Database, tmp_path: Path, attributes: str, says: str
):
    async with login(database, attributes) as url:
        finding = (await look(replace(settings_for(database, tmp_path), database_url=url)))["grants role"]
    assert (finding.verdict, says in finding.found) == (FAILED, True), finding


async def test_a_login_that_has_nothing_is_found(database: Database, tmp_path: Path):
    await execute(database.admin_dsn, f'GRANT CONNECT ON DATABASE "{database.name}" TO PUBLIC')
    async with login(database) as url:
        findings = await look(replace(settings_for(database, tmp_path), database_url=url))
    assert findings["grants role"].verdict is OK
    assert "SELECT on log.entry" in findings["grants needed"].found
    assert findings["key readable"].verdict is FAILED


async def test_a_synchronous_commit_that_is_off_for_the_login_is_found(database: Database, tmp_path: Path):
    settings = settings_for(database, tmp_path)
    await execute(
        database.admin_dsn,
        f'ALTER ROLE registry_serve IN DATABASE "{database.name}" SET synchronous_commit = off',
    )
    finding = (await look(settings))["configuration durability"]
    assert (finding.verdict, "synchronous_commit is off" in finding.found) == (FAILED, True)


async def test_a_database_that_was_never_migrated_is_found_and_the_rest_is_looked_at(cluster: Cluster, tmp_path: Path):
    with cluster.unmigrated_database() as database:
        findings = await look(settings_for(database, tmp_path))
    assert findings["configuration schema"].verdict is FAILED
    assert "registry migrate" in findings["configuration schema"].advice
    assert findings["grants grants"].verdict is SKIPPED
    assert findings["key master"].verdict is OK
    assert findings["backup archive"].verdict is WARNING


async def test_the_newest_base_backup_is_as_old_as_the_file_tells_with_or_without_a_database(
    database: Database, tmp_path: Path
):
    file = tmp_path / "status.json"
    settings = replace(settings_for(database, tmp_path), backup_status_file=file)
    untold = (await look(settings))["backup base"]
    assert (untold.verdict, str(file) in untold.found) == (WARNING, True)
    file.write_text(json.dumps({"finished": (now() - timedelta(hours=40)).isoformat()}))
    gone = replace(settings, database_url="postgresql://nobody@127.0.0.1:1/none")
    for known in (settings, gone):
        found = (await look(known))["backup base"]
        assert (found.verdict, "40.0 h old" in found.found, "backup check" in found.advice) == (WARNING, True, True)
    later = (await look(settings, lambda: now() + timedelta(hours=11)))["backup base"]
    assert later.verdict is FAILED


async def test_a_projector_that_does_not_run_is_found(database: Database, tmp_path: Path):
    findings = await look(settings_for(database, tmp_path))
    assert findings["projector running"].verdict is FAILED
    assert findings["projector position"].verdict is FAILED


async def test_a_projector_that_stopped_is_found_though_it_had_come_all_the_way(database: Database, tmp_path: Path):
    async with running(database, tmp_path) as service:
        settings = service.parts.settings
        assert (await look(settings))["projector running"].verdict is OK
    findings = await look(settings)
    assert (findings["projector running"].verdict, findings["projector position"].verdict) == (FAILED, OK)


@pytest.mark.parametrize(("seconds", "verdict"), [(0, OK), (5, WARNING), (-5, WARNING), (60, FAILED), (-60, FAILED)])
async def test_a_clock_that_is_off_is_found(database: Database, tmp_path: Path, seconds: int, verdict: Verdict):
    findings = await look(settings_for(database, tmp_path), lambda: now() + timedelta(seconds=seconds))
    assert findings["clock difference"].verdict is verdict


async def test_an_entry_from_the_future_is_found(database: Database, tmp_path: Path):
    async with running(database, tmp_path, clock=lambda: now() + timedelta(hours=1)) as service:
        await service.post("/v1/people", {"name": "Ada Lovelace"})
        finding = (await look(service.parts.settings))["clock last-entry"]
    assert (finding.verdict, "from now" in finding.found) == (FAILED, True)


async def test_a_private_key_that_others_can_read_is_found(service: Service):
    settings = service.parts.settings
    assert settings.key_dir is not None
    for file in settings.key_dir.glob("*.key"):
        file.chmod(0o644)
    finding = (await look(settings))["key key-files"]
    assert (finding.verdict, "chmod 600" in finding.advice) == (FAILED, True)


async def test_a_folder_with_another_key_is_found(service: Service, database: Database, tmp_path: Path):
    other = KeyRing(tmp_path / "other")
    other.create(ORIGIN)
    findings = await look(settings_for(database, tmp_path, key_dir=other.folder))
    assert findings["key signing"].verdict is FAILED
    assert findings["key checkpoint"].verdict is FAILED


async def test_a_folder_without_a_key_of_this_name_is_found(service: Service, database: Database, tmp_path: Path):
    findings = await look(settings_for(database, tmp_path, key_dir=tmp_path / "nothing"))
    assert (findings["key signing"].verdict, "key create" in findings["key signing"].advice) == (FAILED, True)
    other = await look(settings_for(database, tmp_path, origin="registry.test/other"))
    assert ORIGIN in other["key signing"].found


async def test_a_damaged_key_is_found(service: Service, tmp_path: Path):
    (tmp_path / "keys" / "0002-00000000.key").write_text("nothing\n", encoding="ascii")
    finding = (await look(service.parts.settings))["key signing"]
    assert (finding.verdict, "holds no signing key" in finding.found) == (FAILED, True)


async def test_a_log_with_fewer_entries_than_were_vouched_for_is_found(
    service: Service, database: Database, cluster: Cluster, tmp_path: Path
):
    """As a database is that was restored from an old backup: here one that is empty yet."""
    with cluster.database() as restored:
        finding = (await look(settings_for(restored, tmp_path)))["key remembered"]
    assert (finding.verdict, "0 entries" in finding.found) == (FAILED, True)


async def test_another_master_key_is_found(service: Service, database: Database, tmp_path: Path):
    other = tmp_path / "another.key"
    MasterKey.create_file(other)
    finding = (await look(replace(service.parts.settings, master_key_file=other)))["key master"]
    assert (finding.verdict, "wrapped by" in finding.found) == (FAILED, True)


async def test_a_signer_that_stopped_is_found_once_an_entry_is_long_without_a_checkpoint(
    database: Database, tmp_path: Path
):
    long_ago = now() - timedelta(hours=2)
    async with running(database, tmp_path, clock=lambda: long_ago, sign=False) as service:
        await service.post("/v1/people", {"name": "Ada Lovelace"})
        async with connected(database.service_dsn) as connection:
            covered = await connection.fetchval("SELECT coalesce(max(size), 0) FROM log.checkpoint")
        finding = (await look(service.parts.settings))["projector checkpoint"]
    assert (covered, finding.verdict) == (0, FAILED)


async def test_the_command_prints_a_table_or_an_object_and_exits_by_what_it_found(service: Service, database: Database):
    variables = environment(service.parts.settings)
    await execute(database.admin_dsn, "GRANT DELETE ON log.entry TO registry_service")
    told = registry("doctor", settings=variables)
    assert (told.returncode, told.stderr) == (1, "")
    for said in ("grants excess", "DELETE on log.entry", "clock difference", "backup archive", "→ Set archive_mode"):
        assert said in told.stdout

    shown = registry("doctor", "--json", settings=variables)
    examination = json.loads(shown.stdout)
    assert (shown.returncode, examination["verdict"]) == (1, "failed")
    excess = next(one for one in examination["findings"] if one["name"] == "excess")
    assert set(excess) == {"area", "name", "verdict", "found", "advice"}


def test_warnings_count_only_where_that_is_asked_for(tmp_path: Path):
    """On a server that keeps what it is given, as that of `registry up` does."""
    with Up(tmp_path / "data") as up:
        shown = registry("doctor", "--json", settings=up.variables)
        strict = registry("doctor", "--strict", settings=up.variables)
    examination = json.loads(shown.stdout)
    failed = [one for one in examination["findings"] if one["verdict"] == "failed" and one["area"] != "disk"]
    assert failed == []
    if examination["verdict"] != "failed":  # as a machine with a full disk would make it
        assert (shown.returncode, examination["verdict"]) == (0, "warning")
    assert strict.returncode == 1


def test_a_database_that_is_not_there_is_found_and_the_keys_are_looked_at(database: Database, tmp_path: Path):
    variables = environment(settings_for(database, tmp_path))
    there_not = {**variables, "REGISTRY_DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/none"}
    shown = registry("doctor", "--json", settings=there_not)
    findings = {f"{one['area']} {one['name']}": one for one in json.loads(shown.stdout)["findings"]}
    assert shown.returncode == 1
    assert findings["configuration database"]["verdict"] == "failed"
    assert findings["grants grants"]["verdict"] == "skipped"
    assert findings["key master"]["verdict"] == "ok"
    assert "secret" not in shown.stdout + shown.stderr


def test_wrong_settings_are_said_in_the_form_that_was_asked_for(tmp_path: Path):
    wrong = {"REGISTRY_PORT": "many"}
    told = registry("doctor", settings=wrong)
    assert (told.returncode, "REGISTRY_PORT" in told.stdout, "REGISTRY_DATABASE_URL" in told.stdout) == (2, True, True)
    shown = registry("doctor", "--json", settings=wrong)
    assert (shown.returncode, json.loads(shown.stdout)["verdict"]) == (2, "failed")
