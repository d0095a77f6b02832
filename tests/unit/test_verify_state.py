"""Going on from where a verification came to."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from services.registry.verify import verification
from services.registry.verify.chunk import STRETCH
from services.registry.verify.export import Export
from services.registry.verify.report import Report
from services.registry.verify.source import Unreadable
from services.registry.verify.state import kept
from tests.support.exported import KEY, SigningKey, entries, entry, export
from tests.support.verifying import lines, verified

SIZE = 2 * STRETCH + 300


@functools.cache
def log() -> tuple[bytes, ...]:
    return tuple(entries(SIZE + STRETCH))


def exported(folder: Path, size: int, **more: Any) -> Path:
    return export(log()[:size], folder, **more)


class Counting(Export):
    """An export that remembers from where it was read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read: list[int] = []

    async def bundles(self, first: int, end: int) -> Any:
        self.read.append(first)
        return await super().bundles(first, end)


async def test_what_was_verified_is_not_read_again(tmp_path: Path):
    asked = verification.Asked(state=tmp_path / "state", processes=0)
    first = await verification.verify(Counting(exported(tmp_path / "a", SIZE)), asked)
    grown = Counting(exported(tmp_path / "b", SIZE + STRETCH))
    second = await verification.verify(grown, asked)

    assert (lines(first), lines(second)) == ([], [])
    assert (first.began, second.began) == (0, 2 * STRETCH)
    assert grown.read == [2 * STRETCH, 3 * STRETCH]
    assert any(f"before position {2 * STRETCH}" in text for text in second.not_checked)


def resumed(tmp_path: Path, made: list[bytes], key: SigningKey = KEY) -> Report:
    """Verify a log, and then another with the same state."""
    assert verified(exported(tmp_path / "before", SIZE), state=tmp_path / "state").verified
    return verified(export(made, tmp_path / "after", key), state=tmp_path / "state")


def test_an_id_a_command_and_a_revision_of_what_was_verified_before_are_held_against_what_came_since(tmp_path: Path):
    made = list(log()[: SIZE + 10])
    id_ = made[0].split(b'"id":"')[1][:36].decode()
    command = made[0].split(b'"commandid":"')[1][:36].decode()
    made[-1] = entry(
        SIZE + 9, id=id_, commandid=command, subject="cooperation/coop_00000000000000000000000000", revision=10
    )
    assert [one.code for one in resumed(tmp_path, made).findings] == ["id-repeated", "command-apart"]

    made[-1] = entry(SIZE + 9, subject="cooperation/coop_00000000000000000000000000", revision=12)
    again = verified(export(made, tmp_path / "again"), state=tmp_path / "state")
    assert [one.code for one in again.findings] == ["revision-wrong"]


def test_a_log_that_was_rewritten_or_rolled_back_since_is_named_and_the_state_stays_as_it_was(tmp_path: Path):
    rewritten = [*log()[:5], entry(5, actor="somebody else"), *log()[6 : SIZE + STRETCH]]
    found = resumed(tmp_path, rewritten)
    assert [(one.code, one.size) for one in found.findings] == [("rewritten", 2 * STRETCH), ("rewritten", SIZE)]
    assert found.began == 0

    small = verified(exported(tmp_path / "small", STRETCH), state=tmp_path / "state")
    assert [(one.code, one.size) for one in small.findings] == [("rolled-back", 2 * STRETCH), ("rolled-back", SIZE)]

    restored = verified(exported(tmp_path / "restored", SIZE + 1), state=tmp_path / "state")
    assert (lines(restored), restored.began) == ([], 2 * STRETCH)


def test_an_entry_that_was_replaced_behind_the_state_but_within_the_checkpoint_is_found(tmp_path: Path):
    made = [*log()[: SIZE - 1], entry(SIZE - 1, actor="somebody else"), *log()[SIZE : SIZE + 100]]

    found = resumed(tmp_path, made)

    assert [(one.code, one.size) for one in found.findings] == [("rewritten", SIZE)]


def test_an_interrupted_verification_goes_on_and_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(verification, "SAVE_EVERY", 1)
    folder, state = exported(tmp_path / "log", SIZE), tmp_path / "state"

    def interrupt(done: int, _size: int) -> None:
        if done > STRETCH:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verified(folder, state=state, progress=interrupt)
    report = verified(folder, state=state)

    assert (lines(report), report.began, report.size) == ([], STRETCH, SIZE)


def test_an_unfinished_run_that_turns_out_wrong_is_not_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verification, "SAVE_EVERY", 1)
    made = [*log()[: SIZE - 1], entry(SIZE - 1, revision=99)]
    state = tmp_path / "state"

    assert not verified(export(made, tmp_path / "wrong"), state=state).verified
    assert verified(exported(tmp_path / "right", SIZE), state=state).began == 0


def test_a_state_is_of_one_log_and_used_by_one_verification_at_a_time(tmp_path: Path):
    state = tmp_path / "state"
    folder = exported(tmp_path / "log", 10)
    assert verified(folder, state=state).verified
    other = SigningKey("other.test/log", KEY.algorithm, KEY.seed)

    with pytest.raises(Unreadable, match=r"is about the log registry.test/log, not other.test/log"):
        verified(exported(tmp_path / "other", 10, key=other), state=state)
    with kept(state), pytest.raises(Unreadable, match="used by another verification"):
        verified(folder, state=state)
    with pytest.raises(Unreadable, match="holds something else"):
        verified(folder, state=folder)
    (state / "verified").write_bytes(b"nothing")
    with pytest.raises(Unreadable, match="is damaged"):
        verified(folder, state=state)


@pytest.mark.parametrize("name", ["ids", "commands", "streams"])
@pytest.mark.parametrize("damage", ["gone", "cut short"])
def test_what_was_taken_down_and_is_not_there_any_more_is_missed(tmp_path: Path, name: str, damage: str):
    state, folder = tmp_path / "state", exported(tmp_path / "log", SIZE)
    assert verified(folder, state=state).verified
    if damage == "gone":
        (state / name).unlink()
    else:
        (state / name).write_bytes((state / name).read_bytes()[:100])

    with pytest.raises(Unreadable, match=f"{name} is damaged: remove the folder"):
        verified(folder, state=state)


@pytest.mark.parametrize("put", [b"\xff", b"\x00\x00\x00\x01\xc1"])
def test_what_was_taken_down_of_streams_and_cannot_be_read_is_damaged(tmp_path: Path, put: bytes):
    state, folder = tmp_path / "state", exported(tmp_path / "log", SIZE)
    assert verified(folder, state=state).verified
    kept_before = (state / "streams").read_bytes()
    (state / "streams").write_bytes(put + kept_before[len(put) :])

    with pytest.raises(Unreadable, match="streams is damaged: remove the folder"):
        verified(folder, state=state)
