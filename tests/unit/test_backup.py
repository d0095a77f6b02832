"""What the container `backup` decides without asking anybody: what to restore from, and what it tells of itself."""

from __future__ import annotations

import importlib.util
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from services.registry import base_backups

PROGRAM = Path(__file__).parents[2] / "deploy" / "backup" / "backup.py"
DAY = datetime(2026, 11, 24, tzinfo=UTC)


def at(hour: float) -> datetime:
    return DAY + timedelta(hours=hour)


def loaded(program: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(program.stem, program)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, program.stem, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with folders of its own; what barman would list is the test's to say (`taken`)."""
    module = loaded(PROGRAM, monkeypatch)
    wal = tmp_path / "registry" / "streaming"
    wal.mkdir(parents=True)
    for name, path in {
        "HOME": tmp_path,
        "WAL": wal,
        "SUPERSEDED": tmp_path / "superseded",
        "BREAKS": tmp_path / "breaks.json",
        "STATUS": tmp_path / "status.json",
    }.items():
        monkeypatch.setattr(module, name, path)
    return module


def taken(backup: ModuleType, monkeypatch: pytest.MonkeyPatch, *hours: float) -> None:
    """Have base backups ended at these hours, each named after its own."""
    made = [{"backup_id": f"{hour:g}", "end_time_timestamp": str(int(at(hour).timestamp()))} for hour in hours]
    monkeypatch.setattr(backup, "backups", lambda: made)


def broke(backup: ModuleType, *breaks: tuple[float, int, bool, float | None]) -> None:
    backup.keep(
        backup.BREAKS,
        [
            {
                "at": backup.written(at(hour)),
                "timeline": timeline,
                "lost": lost,
                "to": None if to is None else backup.written(at(to)),
            }
            for hour, timeline, lost, to in breaks
        ],
    )


def test_without_a_break_the_last_base_backup_before_the_time_leads_to_it(
    backup: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    taken(backup, monkeypatch, 1, 5, 9)
    assert backup.choose(None) == ("9", "latest")
    assert backup.choose(at(8)) == ("5", "latest")
    with pytest.raises(backup.Refused, match="no base backup from before then"):
        backup.choose(at(0.5))


def test_a_time_that_an_earlier_restore_has_left_is_on_the_timeline_of_then(
    backup: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    """At 10 it was restored as it was at 6, at 20 to the last that was received."""
    broke(backup, (10, 1, False, 6), (20, 2, False, None))
    taken(backup, monkeypatch, 1, 5, 9, 11, 21)
    assert backup.choose(at(5.5)) == ("5", "1")
    assert backup.choose(at(9.5)) == ("9", "1")
    assert backup.choose(at(15)) == ("11", "2")
    assert backup.choose(at(22)) == backup.choose(None) == ("21", "latest")


def test_no_base_backup_of_before_a_break_is_taken_to_lead_to_a_time_after_it(
    backup: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    taken(backup, monkeypatch, 1, 5, 9)
    for lost, to, best in ((True, None, "9"), (False, 6, "5"), (False, None, "9")):
        broke(backup, (10, 1, lost, to))
        with pytest.raises(backup.Refused):
            backup.choose(at(12))
        assert backup.choose(None) == (best, "latest")
        assert "no base backup was completed since 2026-11-24T10:00:00Z" in capsys.readouterr().out
        assert backup.choose(at(9.5)) == ("9", "1")


def test_the_doctor_is_told_of_the_newest_base_backup_and_of_a_failure_since(
    backup: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    def told() -> Any:
        return base_backups.read(backup.STATUS)

    taken(backup, monkeypatch)
    backup.tell()
    assert (told().finished, told().failed, told().hours) == (None, None, 24)
    backup.tell(failed=at(1))
    assert (told().finished, told().failed) == (None, at(1))
    taken(backup, monkeypatch, 2)
    backup.tell()
    assert (told().finished, told().failed) == (at(2), None)
    backup.tell(failed=at(3))
    backup.tell()  # as the next turn does
    assert (told().finished, told().failed) == (at(2), at(3))
    broke(backup, (4, 1, False, None))
    backup.tell()
    assert (told().finished, told().failed) == (None, at(3))
    taken(backup, monkeypatch, 2, 5)
    backup.tell()
    assert (told().finished, told().failed) == (at(5), None)
    assert backup.STATUS.stat().st_mode & 0o777 == 0o644


def test_a_base_backup_that_fails_is_told_and_raised(backup: ModuleType, monkeypatch: pytest.MonkeyPatch):
    def refuse() -> None:
        raise backup.Refused("no room")

    taken(backup, monkeypatch, 2)
    monkeypatch.setattr(backup, "take", refuse)
    with pytest.raises(backup.Refused, match="no room"):
        backup.now(None)
    assert base_backups.read(backup.STATUS).failed is not None


def test_a_break_is_noted_with_the_last_timeline_of_which_anything_was_received(backup: ModuleType):
    assert backup.newest_timeline() == 1
    (backup.WAL / "00000003.history").touch()
    (backup.WAL / "000000020000000A000000FF.partial").write_bytes(bytes(1024))
    (backup.WAL / "FFFFFFFF.tmp").touch()
    backup.note_break(at(6))
    backup.note_break(lost=True)
    assert [(one.timeline, one.lost, one.to) for one in backup.breaks()] == [(3, False, at(6)), (3, True, None)]
    assert json.loads(backup.BREAKS.read_text())[0]["to"] == "2026-11-24T06:00:00Z"
    assert backup.end_of(backup.WAL / "000000020000000A000000FF.partial") == (10 << 32) + 256 * 1024


def test_a_node_begins_with_what_was_restored_and_never_with_another_cluster_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    node = loaded(PROGRAM.parents[1] / "ha" / "node.py", monkeypatch)
    monkeypatch.setattr(node, "RESTORED", tmp_path / "restored" / "node")
    assert node.begun_from() == {}
    (tmp_path / "restored" / "node").mkdir(parents=True)
    begun = node.begun_from()
    assert begun["method"] == "restored"
    assert begun["restored"]["command"].split()[:2] == ["mv", str(tmp_path / "restored" / "node")]
    (tmp_path / "restored" / "node").rmdir()  # it was moved, and PostgreSQL did not start
    assert node.begun_from() == begun
