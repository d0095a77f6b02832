"""What a doctor says of what it read: no database, no files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.log import migrate
from events.log.migrate import Applied
from events.vault import MasterKey
from services.registry import base_backups
from services.registry.doctor import backup, clocks, configuration, disk, grants, keys, projection, replication
from services.registry.doctor.examination import Examination
from services.registry.doctor.finding import Finding, Verdict, age_of, failed, ok, size_of, skipped, warning

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OK, WARNING, FAILED, SKIPPED = Verdict

SERVER = configuration.Server(
    version="18.0",
    version_number=180000,
    fsync="on",
    full_page_writes="on",
    synchronous_commit="on",
    encoding="UTF8",
    read_only=False,
)


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {one.name: one for one in findings}


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


@pytest.mark.parametrize(
    ("change", "name", "verdict", "says"),
    [
        ({}, "version", OK, "18.0"),
        ({"version_number": 160004}, "version", WARNING, "18.0"),
        ({"version_number": 140004}, "version", FAILED, "18.0"),
        ({}, "durability", OK, "fsync is on"),
        ({"synchronous_commit": "remote_apply"}, "durability", OK, "remote_apply"),
        ({"synchronous_commit": "local"}, "durability", FAILED, "synchronous_commit is local"),
        ({"fsync": "off"}, "durability", FAILED, "fsync is off"),
        ({"full_page_writes": "off"}, "durability", FAILED, "full_page_writes is off"),
        ({}, "encoding", OK, "UTF8"),
        ({"encoding": "LATIN1"}, "encoding", FAILED, "LATIN1"),
        ({}, "writable", OK, "takes writes"),
        ({"read_only": True}, "writable", FAILED, "standby"),
    ],
)
def test_a_server_is_judged_by_what_keeps_the_log(change: dict[str, Any], name: str, verdict: Verdict, says: str):
    found = by_name(configuration.judge(msgspec.structs.replace(SERVER, **change)))[name]
    assert (found.verdict, says in found.found) == (verdict, True)
    assert bool(found.advice) is (verdict is not OK)


def applied(count: int, **last: str) -> list[Applied]:
    known = [Applied(one.version, one.name, one.sha256) for one in migrate.load()]
    more = [Applied(number, "from_the_future", "0" * 64) for number in range(len(known) + 1, count + 1)]
    rows = (known + more)[:count]
    return [*rows[:-1], msgspec.structs.replace(rows[-1], **last)] if last else rows


def test_a_schema_is_compared_with_the_programs_and_both_are_named():
    known = migrate.load()
    last = f"{known[-1].version:04}"
    assert configuration.schema(known, applied(len(known))).verdict is OK
    for rows, advice in (
        ([], "registry migrate"),
        (applied(len(known) - 1), "registry migrate"),
        (applied(len(known) + 1), "newer"),
    ):
        found = configuration.schema(known, rows)
        assert (found.verdict, last in found.found, advice in found.advice) == (FAILED, True, True)
        assert (f"{rows[-1].version:04}" if rows else "no migration") in found.found
    edited = configuration.schema(known, applied(len(known), sha256="0" * 64))
    assert (edited.verdict, known[-1].file in edited.found) == (FAILED, True)


ROLE = grants.Role(
    acts_as="registry_service",
    login="registry_serve",
    superusers=None,
    strong=None,
    owners=None,
    writers=None,
    silences_triggers=False,
)


def test_an_ordinary_login_is_right():
    assert grants.judge_role(ROLE).verdict is OK


@pytest.mark.parametrize(
    "change",
    [
        {"superusers": ["somebody"]},
        {"strong": ["somebody"]},
        {"owners": ["somebody"]},
        {"writers": ["somebody"]},
        {"silences_triggers": True},
    ],
    ids=str,
)
def test_a_login_that_could_be_somebody_with_more_rights_is_not(change: dict[str, Any]):
    found = grants.judge_role(msgspec.structs.replace(ROLE, **change))
    assert found.verdict is FAILED
    assert ("somebody" if "silences_triggers" not in change else "session_replication_role") in found.found


def tables(**other: tuple[list[str], list[str]]) -> list[grants.Table]:
    granted = {name: (sorted(needed), []) for name, needed in grants.NEEDED.items()}
    return [grants.Table(name, *both) for name, both in {**granted, **other}.items()]


CALLABLE: dict[str, bool] = dict.fromkeys(grants.FUNCTIONS, True)


def test_what_the_migrations_grant_is_enough_and_not_too_much():
    assert grants.judge_needed(tables(), [], CALLABLE).verdict is OK
    assert grants.judge_excess(tables(), []).verdict is OK


def test_what_is_missing_is_named():
    lacking = tables(**{"log.entry": (["SELECT"], [])})
    found = grants.judge_needed(lacking, ["vault"], {**CALLABLE, "log.append_batch": False})
    assert found.verdict is FAILED
    for what in ("INSERT on log.entry", "the schema vault", "call log.append_batch"):
        assert what in found.found


@pytest.mark.parametrize("privilege", ["UPDATE", "UPDATE (columns)", "DELETE", "TRUNCATE", "TRIGGER"])
def test_a_grant_too_many_is_named(privilege: str):
    found = grants.judge_excess(tables(**{"log.entry": (["SELECT", "INSERT", privilege], [])}), [])
    assert (found.verdict, f"{privilege} on log.entry" in found.found) == (FAILED, True)


def test_a_grant_that_only_a_role_it_may_act_as_has_is_one_too_many():
    reachable = tables(**{"log.entry": (["SELECT", "INSERT"], ["DELETE"])})
    assert "DELETE on log.entry" in grants.judge_excess(reachable, []).found
    assert "the schema log" in grants.judge_excess(tables(), ["log"]).found


def test_a_table_that_is_not_known_may_be_added_to_and_not_changed():
    assert grants.judge_excess(tables(**{"log.new": (["SELECT", "INSERT"], [])}), []).verdict is OK
    assert grants.judge_excess(tables(**{"log.new": (["SELECT", "DELETE"], ["DELETE"])}), []).verdict is FAILED


def test_a_grant_on_the_whole_table_covers_the_columns_and_is_one_too_many():
    whole = tables(**{"access.record": (["SELECT", "INSERT"], [])})
    assert grants.judge_needed(whole, [], CALLABLE).verdict is OK
    assert "INSERT on access.record" in grants.judge_excess(whole, []).found


@pytest.mark.parametrize(
    ("trigger", "says"),
    [
        (None, "missing"),
        (("D", "refuse"), "disabled"),
        (("O", "refuse"), "not ENABLE ALWAYS"),
        (("R", "refuse"), "not ENABLE ALWAYS"),
        (("A", "RETURN NEW;"), "another function"),
    ],
)
def test_a_trigger_that_does_not_refuse_always_is_named(trigger: tuple[str, str] | None, says: str):
    first, *rest = grants.TRIGGERS
    there = [grants.Trigger(name, "A", "refuse") for name in rest]
    assert grants.judge_triggers([*there, grants.Trigger(first, "A", "refuse")], "all of it: refuse;").verdict is OK
    found = grants.judge_triggers([*there, *([grants.Trigger(first, *trigger)] if trigger else [])], "refuse;")
    assert (found.verdict, f"{first} " in found.found, says in found.found) == (FAILED, True, True)


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(0, OK), (0.9, OK), (-0.9, OK), (1.1, WARNING), (-1.1, WARNING), (10.1, FAILED), (-10.1, FAILED)],
)
def test_clocks_may_be_a_second_apart_and_not_ten(seconds: float, verdict: Verdict):
    ours = NOW + timedelta(seconds=seconds)
    found = by_name(clocks.judge(clocks.Reading(ours, NOW, ours), None))["difference"]
    assert found.verdict is verdict
    if verdict is not OK:
        assert ("ahead of" if seconds > 0 else "behind") in found.found


def test_what_the_way_to_the_database_took_is_no_difference():
    slow = clocks.Reading(ago(seconds=20), NOW, NOW + timedelta(seconds=20))
    assert by_name(clocks.judge(slow, None))["difference"].verdict is OK


@pytest.mark.parametrize(("seconds", "verdict"), [(-60, OK), (0.5, OK), (5, WARNING), (60, FAILED)])
def test_the_last_entry_is_not_from_the_future(seconds: float, verdict: Verdict):
    last = NOW + timedelta(seconds=seconds)
    assert by_name(clocks.judge(clocks.Reading(NOW, NOW, NOW), last))["last-entry"].verdict is verdict


@pytest.mark.parametrize(
    ("mode", "folder_mode", "verdict"),
    [
        (0o600, 0o700, OK),
        (0o400, 0o755, OK),
        (0o640, 0o700, WARNING),
        (0o644, 0o700, FAILED),
        (0o602, 0o700, FAILED),
        (0o600, 0o777, FAILED),
    ],
)
def test_private_keys_are_their_owners(mode: int, folder_mode: int, verdict: Verdict):
    found = keys.judge_modes(Path("keys"), folder_mode, {Path("keys/0001-00000000.key"): mode})
    assert found.verdict is verdict
    assert ("chmod" in found.advice) is (verdict is not OK)


@pytest.mark.parametrize(
    ("total", "free", "verdict"),
    [
        (100 * 1024**3, 50 * 1024**3, OK),
        (100 * 1024**3, 9 * 1024**3, WARNING),
        (4 * 1024**3, 1023 * 1024**2, WARNING),
        (100 * 1024**3, 1024**3, FAILED),
        (1024**3, 200 * 1024**2, FAILED),
        (0, 0, FAILED),
    ],
)
def test_a_disk_is_judged_by_share_and_by_bytes(total: int, free: int, verdict: Verdict):
    assert disk.judge_free("keys", Path("/keys"), total, free).verdict is verdict


def test_a_disk_of_another_machine_is_not_looked_at():
    there = disk.judge(disk.Space(size=10, here=False, folder="/"))
    assert [one.verdict for one in there] == [OK, SKIPPED]
    unknown = disk.judge(disk.Space(size=10, here=True, folder=None))
    assert (unknown[1].verdict, "GRANT pg_monitor" in unknown[1].advice) == (SKIPPED, True)


STANDBY = replication.Standby(name="two", state="streaming", sync_state="async", behind=0, lag=None)


@pytest.mark.parametrize(
    ("standbys", "wanted", "verdict"),
    [
        ([], "", WARNING),
        ([STANDBY], "", OK),
        ([STANDBY], "two", FAILED),
        ([], "two", FAILED),
        ([msgspec.structs.replace(STANDBY, sync_state="sync")], "two", OK),
        ([msgspec.structs.replace(STANDBY, sync_state="quorum")], "ANY 1 (two)", OK),
        ([msgspec.structs.replace(STANDBY, state="catchup")], "", WARNING),
        ([msgspec.structs.replace(STANDBY, behind=1024**3)], "", WARNING),
        ([msgspec.structs.replace(STANDBY, lag=61.0)], "", WARNING),
    ],
)
def test_standbys_are_to_be_there_and_close(standbys: list[replication.Standby], wanted: str, verdict: Verdict):
    assert replication.judge_standbys(standbys, wanted).verdict is verdict


SLOT = replication.Slot(name="two", active=True, state="reserved", holds=0)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, OK),
        ({"active": False}, WARNING),
        ({"holds": 2 * 1024**3}, WARNING),
        ({"state": "unreserved"}, WARNING),
        ({"state": "lost"}, FAILED),
    ],
)
def test_slots_may_not_hold_wal_for_ever(change: dict[str, Any], verdict: Verdict):
    found = replication.judge_slots([msgspec.structs.replace(SLOT, **change)])
    assert (found.verdict, "two" in found.found) == (verdict, True)
    assert replication.judge_slots([]).verdict is OK


ARCHIVING = backup.Archiving(
    mode="on", archived_count=3, last_archived_time=ago(hours=1), failed_count=0, last_failed_time=None, now=NOW
)


@pytest.mark.parametrize(
    ("change", "verdict", "says"),
    [
        ({}, OK, "1.0 h ago"),
        ({"mode": "off"}, WARNING, "no continuous backup"),
        ({"last_archived_time": None}, WARNING, "nothing was archived yet"),
        ({"last_archived_time": ago(hours=25)}, WARNING, "25.0 h ago"),
        ({"failed_count": 1, "last_failed_time": ago(hours=2)}, OK, "1 attempts failed"),
        ({"failed_count": 9, "last_failed_time": ago(minutes=2)}, FAILED, "the last attempt failed, 2.0 min ago"),
        ({"failed_count": 9, "last_failed_time": ago(minutes=2), "last_archived_time": None}, FAILED, "9 attempts"),
    ],
)
def test_a_backup_is_as_old_as_the_archive(change: dict[str, Any], verdict: Verdict, says: str):
    found = backup.judge(msgspec.structs.replace(ARCHIVING, **change))
    assert (found.verdict, says in found.found) == (verdict, True)


RECEIVER = msgspec.structs.replace(SLOT, name=backup.RECEIVER)


@pytest.mark.parametrize(
    ("change", "verdict", "says"),
    [
        ({}, OK, "WAL is received"),
        ({"active": False, "holds": 1024**2}, FAILED, "lacks 1.0 MiB"),
        ({"holds": 65 * 1024**2}, WARNING, "lacks 65.0 MiB"),
        ({"state": "unreserved"}, WARNING, "lacks"),
        ({"state": "lost", "active": False}, FAILED, "was removed"),
    ],
)
def test_a_backup_that_receives_wal_needs_no_archiver(change: dict[str, Any], verdict: Verdict, says: str):
    receiver = msgspec.structs.replace(RECEIVER, **change)
    found = backup.judge(msgspec.structs.replace(ARCHIVING, mode="off"), receiver)
    assert (found.verdict, says in found.found, bool(found.advice)) == (verdict, True, verdict is not OK)
    archived = backup.judge(ARCHIVING, receiver)
    assert "archived last" in archived.found


@pytest.mark.parametrize(("waiting", "verdict"), [(0, OK), (10, OK), (11, WARNING), (101, FAILED)])
def test_wal_is_not_to_pile_up(waiting: int, verdict: Verdict):
    assert backup.judge_backlog(backup.Backlog(waiting, 16 * 1024**2)).verdict is verdict


@pytest.mark.parametrize(
    ("told", "verdict", "says"),
    [
        ({"finished": ago(hours=24)}, OK, "24.0 h old"),
        ({"finished": ago(hours=30)}, OK, "30.0 h old"),
        ({"finished": ago(hours=30, seconds=1)}, WARNING, "30.0 h old"),
        ({"finished": ago(hours=50)}, WARNING, "2.1 days old"),
        ({"finished": ago(hours=50, seconds=1)}, FAILED, "2.1 days old"),
        ({"finished": ago(hours=3), "failed": ago(hours=27)}, OK, "3.0 h old"),
        ({"finished": ago(hours=27), "failed": ago(hours=3)}, FAILED, "27.0 h old; the last attempt failed, 3.0 h ago"),
        (
            {"failed": ago(minutes=3)},
            FAILED,
            "can be restored from; the last attempt failed",
        ),
        ({}, FAILED, "no base backup"),
        ({"finished": ago(days=8), "hours": 168}, OK, "8.0 days old"),
        ({"finished": ago(days=9), "hours": 168}, WARNING, "9.0 days old"),
        ({"finished": ago(minutes=70), "hours": 1}, OK, "1.2 h old"),
        ({"finished": ago(seconds=-30)}, OK, "0.0 s old"),
        ({"finished": ago(hours=-2)}, WARNING, "2.0 h from now"),
    ],
)
def test_a_base_backup_is_to_be_as_old_as_it_may_be_and_the_last_attempt_at_one_not_to_have_failed(
    tmp_path: Path, told: dict[str, Any], verdict: Verdict, says: str
):
    file = tmp_path / "status.json"
    file.write_bytes(msgspec.json.encode({**told, "of another tool": 1}))
    found = backup.judge_base(base_backups.read(file), NOW)
    assert (found.verdict, says in found.found, bool(found.advice)) == (verdict, True, verdict is not OK), found


@pytest.mark.parametrize(
    "text", ["", "2026-11-24T12:00:00Z", '{"finished": "2026-11-24T12:00:00"}', '{"hours": 0}', '{"finished": 1}']
)
def test_what_is_not_as_it_has_to_be_tells_nothing_of_base_backups(tmp_path: Path, text: str):
    with pytest.raises(base_backups.Untold, match="cannot be read: No such file"):
        base_backups.read(tmp_path / "status.json")
    (tmp_path / "status.json").write_text(text)
    with pytest.raises(base_backups.Untold, match="is not as it has to be"):
        base_backups.read(tmp_path / "status.json")
    assert backup.untold("why").verdict is WARNING


PROJECTION = projection.Projection(
    size=20_000, position=20_000, version="v", running=True, heard=ago(seconds=3), now=NOW
)


@pytest.mark.parametrize(
    ("change", "running", "position"),
    [
        ({}, OK, OK),
        ({"heard": None}, OK, OK),
        ({"heard": ago(seconds=61)}, WARNING, OK),
        ({"running": False, "heard": None}, FAILED, OK),
        ({"position": 18_999}, OK, WARNING),
        ({"position": 9_999}, OK, FAILED),
        ({"position": None, "version": None}, OK, FAILED),
        ({"version": "another"}, OK, WARNING),
    ],
)
def test_a_projector_is_to_be_at_work_and_close(change: dict[str, Any], running: Verdict, position: Verdict):
    found = by_name(projection.judge(msgspec.structs.replace(PROJECTION, **change), "v"))
    assert (found["running"].verdict, found["position"].verdict) == (running, position)


@pytest.mark.parametrize(
    ("covered", "since", "signs", "verdict"),
    [
        (10, None, True, OK),
        (9, ago(seconds=2), True, OK),
        (9, ago(minutes=2), True, WARNING),
        (9, ago(hours=2), True, FAILED),
        (None, None, True, OK),
        (None, ago(hours=2), True, FAILED),
        (None, ago(hours=2), False, SKIPPED),
    ],
)
def test_a_checkpoint_is_old_when_an_entry_is_long_without_one(
    covered: int | None, since: datetime | None, signs: bool, verdict: Verdict
):
    signed_at = None if covered is None else ago(days=9)
    unsigned = projection.Unsigned(covered=covered, signed_at=signed_at, size=10, since=since, now=NOW)
    assert projection.judge_checkpoint(unsigned, signs=signs).verdict is verdict


def test_a_master_key_is_to_open_what_it_wrapped(tmp_path: Path):
    file = tmp_path / "master.key"
    master = MasterKey.create_file(file)
    right = keys.Wrapped("person/1", master.wrap("person/1", b"k" * 32), master.key_id)

    def verdicts(*wrapped: keys.Wrapped) -> list[Verdict]:
        return [one.verdict for one in keys.judge_master(file, wrapped)]

    assert verdicts() == verdicts(right) == [OK, OK]
    assert verdicts(msgspec.structs.replace(right, owner="person/2")) == [FAILED, OK]
    assert verdicts(msgspec.structs.replace(right, master_key_id="another")) == [FAILED, OK]
    file.chmod(0o644)
    assert verdicts(right) == [OK, WARNING]
    assert [one.verdict for one in keys.judge_master(None, ())] == [FAILED]
    assert [one.verdict for one in keys.judge_master(tmp_path / "nowhere", ())] == [FAILED]


def test_an_examination_is_as_grave_as_its_gravest_finding_and_what_was_skipped_does_not_count():
    good, doubtful, bad, unseen = ok("a", "a", "a"), warning("a", "b", "b", "b"), failed("a", "c", "c", "c"), "unseen"
    assert Examination.of([good, skipped("a", "d", unseen)]).verdict is OK
    assert Examination.of([good, doubtful]).verdict is WARNING
    assert Examination.of([bad, doubtful, good]).verdict is FAILED


def test_sizes_and_ages_are_written_as_people_do():
    assert [size_of(one) for one in (7, 1024, 3 * 1024**3, 5 * 1024**4)] == ["7 bytes", "1.0 KiB", "3.0 GiB", "5.0 TiB"]
    assert [age_of(one) for one in (0.25, 90, 7200, 200_000)] == ["0.2 s", "1.5 min", "2.0 h", "2.3 days"]
