"""Verifying a folder: whatever is altered, missing or out of order in it is found, and named."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.merkle.adoption import Adoption, Last
from events.merkle.note import ED25519, Note, SigningKey
from events.merkle.tree import root_of
from services.registry.signing.adoptions import sign
from services.registry.signing.published import Origins, OriginTaken, encode_origins
from services.registry.verify import index
from services.registry.verify.chunk import STRETCH
from services.registry.verify.earlier import Earlier
from services.registry.verify.source import Unreadable
from tests.support.exported import KEY, ORIGIN, entries, entry, export, leaf, note_of, write
from tests.support.verifying import OTHER_KEY, lines, verified

SIZE = 600  # two full tiles and a partial one; one tile above


@functools.cache
def log() -> tuple[bytes, ...]:
    return tuple(entries(SIZE))


@functools.cache
def exported() -> dict[str, bytes]:
    """The files of an export, by path."""
    with tempfile.TemporaryDirectory() as folder:
        export(log(), Path(folder))
        return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@contextmanager
def unpacked(**replaced: bytes | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        for path, content in (exported() | replaced).items():
            if content is not None:
                (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / path).write_bytes(content)
        yield Path(folder)


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, SIZE])
def test_an_export_of_any_size_is_verified(tmp_path: Path, size: int):
    report = verified(export(log()[:size], tmp_path))

    assert lines(report) == []
    assert (report.size, report.origin, report.checkpoints) == (size, ORIGIN, 1)


def test_a_log_of_several_chunks_is_verified_by_one_process_and_by_several(tmp_path: Path):
    size = 2 * STRETCH + 300
    folder = export(entries(size), tmp_path)
    seen: list[tuple[int, int]] = []

    alone = verified(folder, progress=lambda done, of: seen.append((done, of)))
    together = verified(folder, processes=2)

    assert lines(alone) == []
    assert together == alone
    assert seen == [(STRETCH, size), (2 * STRETCH, size), (size, size)]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_byte_that_is_changed_in_any_file_of_an_export_is_found(data: st.DataObject):
    path = data.draw(st.sampled_from(sorted(exported())))
    content = bytearray(exported()[path])
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))

    with unpacked(**{path: bytes(content)}) as folder:
        report = verified(folder)

    assert not report.verified, (path, at)
    assert report.findings


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_whatever_stands_in_place_of_a_file_is_found_and_never_a_crash(data: st.DataObject):
    path = data.draw(st.sampled_from(sorted(exported())))
    whole = exported()[path]
    content = data.draw(
        st.one_of(st.binary(max_size=300), st.integers(0, len(whole) - 1).map(lambda end: whole[:end])),
    )

    with unpacked(**{path: content}) as folder:
        assert not verified(folder).verified


def test_keys_that_are_cut_short_are_found_if_only_their_end_is_missing():
    with unpacked(keys=exported()["keys"][:-1]) as folder:
        assert "file keys: the last line has no end: the file is cut short" in lines(verified(folder))


@pytest.mark.parametrize("path", sorted({"keys", "tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2"}))
def test_a_file_that_is_missing_is_found(path: str):
    with unpacked(**{path: None}) as folder:
        assert not verified(folder).verified


@pytest.mark.parametrize("name", ["keys", "origins"])
def test_a_file_that_is_missing_is_named_though_the_key_was_given(name: str):
    with unpacked(**{name: None}) as folder:
        assert lines(verified(folder, keys=(KEY.verifier,))) == [f"file {name}: it is not there"]


def test_a_bundle_that_is_missing_is_named_by_its_positions():
    with unpacked(**{"tile/entries/001": None}) as folder:
        assert "position 256: the entries from here to 511 are not there" in lines(verified(folder))


def test_a_folder_without_a_checkpoint_is_no_export(tmp_path: Path):
    with pytest.raises(Unreadable, match="no export"):
        verified(tmp_path)


@pytest.mark.parametrize("path", sorted(exported().keys() - {"origins"}))
def test_nobody_is_waited_for_where_a_pipe_stands_in_place_of_a_file(path: str):
    with unpacked(**{path: None}) as folder:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(folder / path)
        if path == "checkpoint":
            with pytest.raises(Unreadable, match="no export"):
                verified(folder)
        else:
            assert not verified(folder).verified


@pytest.mark.parametrize("processes", [0, 2])
def test_a_file_that_cannot_be_read_is_told_and_no_crash(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], processes: int
):
    folder = export(log(), tmp_path)
    (folder / "tile/entries/001").unlink()
    (folder / "tile/entries/001").symlink_to("001")

    with pytest.raises((Unreadable, OSError)) as refused:
        verified(folder, processes=processes)

    told = f"{refused.value}{capfd.readouterr().err}"
    assert "symbolic links" in told
    assert "Traceback" not in told


def test_one_byte_of_an_entry_is_named_by_its_position():
    bundle = exported()["tile/entries/001"].replace(b'"sequence":"300"', b'"sequence":"309"')
    with unpacked(**{"tile/entries/001": bundle}) as folder:
        found = lines(verified(folder))

    assert found[:2] == [
        "position 300: the entry says that it is number 309",
        "position 300: the entry's bytes are not those that its leaf is the hash of",
    ]


def test_a_byte_of_the_last_partial_bundle_is_named_by_its_position():
    bundle = exported()["tile/entries/002.p/88"].replace(b'"sequence":"555"', b'"sequence":"559"')
    with unpacked(**{"tile/entries/002.p/88": bundle}) as folder:
        assert "position 555: the entry's bytes are not those that its leaf is the hash of" in lines(verified(folder))


@pytest.mark.parametrize("path", ["tile/0/000", "tile/0/002.p/88"])
def test_a_hash_that_was_changed_in_a_tile_is_not_held_against_the_entry(path: str):
    tile = exported()[path]
    with unpacked(**{path: tile[:32] + bytes(32) + tile[64:]}) as folder:
        name = path.removeprefix("tile/")
        position = 1 if path.endswith("000") else 513
        assert lines(verified(folder)) == [f"tile {name}: its hash 1 is not that of the entry at position {position}"]


def test_a_hash_that_was_changed_in_a_tile_above_is_named_there():
    tile = exported()["tile/1/000.p/2"]
    with unpacked(**{"tile/1/000.p/2": bytes(32) + tile[32:]}) as folder:
        assert lines(verified(folder)) == [
            "tile 1/000.p/2: its hash 0 is not the root of the tile 0/000 below it (the entries from position 0 to 255)"
        ]


def test_what_an_older_checkpoint_left_has_to_be_the_beginning_of_what_is_there():
    left = {"tile/0/000.p/7": exported()["tile/0/000"][:224], "tile/entries/000.p/1": b"\x00\x01x"}
    with unpacked(**left) as folder:
        assert lines(verified(folder)) == ["tile entries/000.p/1: it is not the beginning of what is there now"]


def altered(number: int, **attributes: Any) -> Sequence[bytes]:
    """Return a log, in itself of one piece, with one entry that is another."""
    made = list(log())
    made[number] = entry(number, **attributes)
    return made


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"sequence": "8"}, "position 7: the entry says that it is number 8"),
        ({"time": "2026-11-24T07:00:00.000000Z"}, "before the entry ahead"),
        ({"time": "2026-13-24T07:00:00.000000Z"}, "position 7: time is not in form"),
        ({"time": "2026-11-24T07:00:00Z"}, "position 7: time is not in form"),
        ({"source": "https://elsewhere.test"}, "position 7: the entry has another source than the entry ahead"),
        ({"source": "http://registry.test/log"}, "position 7: the envelope does not say what it must"),
        ({"revision": 6}, "position 7: the entry has revision 6 of cooperation/coop_00000000000000000000000000, not 7"),
        ({"commandhash": "00" * 32}, "position 7: the entry has another command hash than its command's entry ahead"),
        ({"commandhash": "XX" * 32}, "position 7: commandhash is not in form"),
        ({"id": "no id"}, "position 7: id is not in form"),
        ({"id": "00000000-0000-4000-8000-000000000000"}, "position 7: id is not in form"),
        ({"commandid": "no id"}, "position 7: commandid is not in form"),
        ({"commandid": "0\n0"}, "position 7: commandid is not in form"),
        ({"specversion": "2.0"}, "position 7: the entry cannot be read: Invalid enum value '2.0'"),
        ({"classification": "secret"}, "position 7: the entry cannot be read: Invalid enum value 'secret'"),
        ({"dataschema": "https://elsewhere.test"}, "position 7: the envelope does not say what it must"),
    ],
)
def test_what_the_writer_must_never_write_is_found_though_leaves_and_tiles_are_of_it(
    tmp_path: Path, attributes: dict[str, Any], words: str
):
    found = lines(verified(export(altered(7, **attributes), tmp_path)))

    assert any(words in line for line in found), found


@pytest.mark.parametrize("part", [1 << 20, 100])
@pytest.mark.parametrize("number", [7, SIZE - 1])
def test_an_id_that_stands_twice_and_a_command_that_comes_back_are_found_wherever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, part: int
):
    monkeypatch.setattr(index, "PART", part)
    first = entry(0)
    id_ = first.split(b'"id":"')[1][:36].decode()
    command = first.split(b'"commandid":"')[1][:36].decode()
    folder = export(altered(number, id=id_, commandid=command), tmp_path)

    found = lines(verified(folder))

    assert f"position {number}: the entry has the id of the entry at position 0" in found
    assert any(
        line.startswith(f"position {number}: the entry is of the same command as that at position 0") for line in found
    )


@pytest.mark.parametrize("part", [1 << 20, 100])
def test_a_revision_that_is_left_out_between_chunks_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
):
    monkeypatch.setattr(index, "PART", part)
    made = entries(STRETCH + 10)
    made[STRETCH + 1] = entry(STRETCH + 1, subject="cooperation/coop_00000000000000000000000000", revision=11)

    found = lines(verified(export(made, tmp_path)))

    words = "the entry has revision 11 of cooperation/coop_00000000000000000000000000, not 10"
    assert f"position {STRETCH + 1}: {words}" in found


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "white space within": lambda one: one.replace(b'"revision":7', b'"revision": 7'),
    "a fraction": lambda one: one.replace(b'"revision":7', b'"revision":7.0'),
    "null for nothing": lambda one: one.replace(b'{"actor":"a test",', b'{"actor":"a test","causationid":null,'),
    "an unknown attribute": lambda one: one[:-1] + b',"zebra":1}',
    "white space behind": lambda one: one + b" ",
    "nothing": lambda _: b"",
    "a list": lambda _: b"[]",
    "no UTF-8": lambda one: one.replace(b"a test", b"\xff test"),
    "an end too early": lambda one: one[:-1],
    "depth": lambda _: b'{"data":' + b"[" * 5000,
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_entry_that_is_not_in_canonical_form_is_found(tmp_path: Path, change: str):
    made = list(log())
    made[7] = CHANGES[change](made[7])

    found = lines(verified(export(made, tmp_path)))

    assert any(line.startswith("position 7: the entry") for line in found), found


def test_entries_that_changed_places_are_named(tmp_path: Path):
    made = list(log())
    made[41], made[44] = made[44], made[41]
    with unpacked() as folder:
        shutil.copytree(export(made, tmp_path) / "tile" / "entries", folder / "tile" / "entries", dirs_exist_ok=True)
        found = lines(verified(folder))

    for position, says in ((41, 44), (44, 41)):
        assert f"position {position}: the entry says that it is number {says}" in found
        assert f"position {position}: the entry's bytes are not those that its leaf is the hash of" in found


def test_a_checkpoint_of_a_key_that_is_not_known_is_not_believed(tmp_path: Path):
    folder = export(log(), tmp_path)

    assert lines(verified(folder, keys=(KEY.verifier,))) == []
    found = lines(verified(folder, keys=(OTHER_KEY.verifier,)))
    assert found == [
        f"file checkpoint: the checkpoint over {SIZE} entries is not vouched for: none of the known keys signed this"
    ]


def test_a_checkpoint_that_somebody_else_signed_is_forged_though_the_log_publishes_that_key(tmp_path: Path):
    forged = SigningKey(ORIGIN, ED25519, bytes(32))
    folder = export(altered(7, actor="somebody else"), tmp_path, forged)

    assert verified(folder).verified
    assert [one.code for one in verified(folder, keys=(KEY.verifier,)).findings] == ["checkpoint-forged"]
    assert any("whose the keys are" in text for text in verified(folder).not_checked)


def test_the_signature_of_another_logs_key_does_not_vouch_for_a_checkpoint(tmp_path: Path):
    text = note_of(log()).decode().partition("\n\n")[0] + "\n"
    note = (text + "\n" + OTHER_KEY.sign(text).line + "\n").encode()
    folder = write(log(), tmp_path, note, f"{OTHER_KEY.verifier.text}\n".encode(), b'{"origin":"x","adopted":[]}')

    assert "checkpoint-forged" in [one.code for one in verified(folder).findings]


def against(size: int, made: Sequence[bytes] | None = None, key: SigningKey = KEY) -> Earlier:
    return Earlier(note_of((made or log())[:size], key), "yesterday")


@pytest.mark.parametrize("size", [0, 1, 255, 256, 300, 512, SIZE])
def test_a_log_that_has_grown_is_that_of_the_checkpoint_that_was_kept(tmp_path: Path, size: int):
    assert lines(verified(export(log(), tmp_path), against=against(size))) == []


@pytest.mark.parametrize("size", [1, 255, 256, 300, 512])
def test_a_log_with_fewer_entries_than_the_checkpoint_was_rolled_back(tmp_path: Path, size: int):
    (found,) = verified(export(log()[:size], tmp_path), against=against(SIZE)).findings

    assert (found.code, found.size) == ("rolled-back", SIZE)
    assert (
        f"the log has {size} entries, and yesterday vouches for {SIZE}: it was truncated, or rolled back" in found.line
    )


@pytest.mark.parametrize("size", [8, 256, 300, SIZE])
def test_a_log_with_other_entries_than_the_checkpoint_was_rewritten(tmp_path: Path, size: int):
    folder = export(altered(7, actor="somebody else"), tmp_path)
    (found,) = verified(folder, against=against(size)).findings

    assert (found.code, found.size) == ("rewritten", size)
    assert f"the first {size} entries are not those that yesterday vouches for: the log was rewritten" in found.line


def test_a_checkpoint_of_another_log_or_none_at_all_is_told_as_such(tmp_path: Path):
    folder = export(log(), tmp_path)

    other = verified(folder, keys=(KEY.verifier, OTHER_KEY.verifier), against=against(9, key=OTHER_KEY))
    assert [one.code for one in other.findings] == ["other-log"]
    nothing = verified(folder, against=Earlier(b"nothing", "yesterday"))
    assert [one.code for one in nothing.findings] == ["checkpoint-malformed"]


NEW = SigningKey("registry.test/log-2", ED25519, bytes(range(2, 34)))
TAKEN = Adoption(
    origin=NEW.name,
    key=NEW.verifier,
    replaces=ORIGIN,
    size=500,
    root=root_of([leaf(one) for one in log()[:500]]),
    last=Last(400, root_of([leaf(one) for one in log()[:400]])),
    adopted_at="2026-11-24T00:00:00+00:00",
    reason="An old backup.",
)


def taken(adoption: Adoption = TAKEN, signing: Sequence[SigningKey] = (NEW, KEY), **told: Any) -> OriginTaken:
    """What is told of a name that was taken, and what was signed of it."""
    return OriginTaken(
        **{
            "origin": TAKEN.origin,
            "size": TAKEN.size,
            "replaces": TAKEN.replaces,
            "last_checkpoint": note_of(log()[:400]).decode(),
            "reason": TAKEN.reason,
            "adopted_at": TAKEN.adopted_at,
            "statement": sign(adoption, signing),
        }
        | told
    )


def renamed(folder: Path, one: OriginTaken, made: Sequence[bytes] | None = None) -> Path:
    """An export of a log that took another name."""
    made = (made or log())[:550]
    keys = f"{NEW.verifier.text}\n{KEY.verifier.text}\n".encode()
    return write(made, folder, note_of(made, NEW), keys, encode_origins(Origins(NEW.name, (one,))))


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"statement": None}, "nobody signed it"),
        ({"statement": "nothing"}, "the note has no text"),
        ({"statement": note_of(log(), NEW).decode()}, "this is no statement"),
        ({"signing": (KEY,)}, "none of the known keys of registry.test/log-2 signed this"),
        ({"signing": (SigningKey(NEW.name, ED25519, bytes(32)),)}, "none of the known keys signed this"),
        ({"reason": "A drill."}, "the reason that was signed is 'An old backup.', not 'A drill.'"),
        ({"adopted_at": "2026-11-23T00:00:00+00:00"}, "the date that was signed is "),
        ({"size": 499}, "the size that was signed is 500, not 499"),
        ({"last_checkpoint": note_of(log()[:401]).decode()}, "is not the one that was spoken of"),
        ({"last_checkpoint": note_of(log()[:400], NEW).decode()}, "none of the known keys signed this"),
    ],
)
def test_what_is_told_of_another_name_and_was_not_signed_is_found(tmp_path: Path, told: dict[str, Any], why: str):
    (found,) = verified(renamed(tmp_path, taken(**told))).findings

    assert (found.code, found.file) == ("adoption-forged", "origins")
    assert (
        "that registry.test/log-2 took the place of registry.test/log, when and why, is not vouched for" in found.line
    )
    assert why in found.line


def test_the_last_checkpoint_of_the_name_before_may_be_lost(tmp_path: Path):
    assert lines(verified(renamed(tmp_path, taken(last_checkpoint=None)))) == []


def test_a_log_that_is_not_the_one_that_took_its_name_is_found(tmp_path: Path):
    other = taken(msgspec.structs.replace(TAKEN, root=bytes(32)))
    (found,) = verified(renamed(tmp_path / "rewritten", other)).findings
    assert (found.code, found.size) == ("rewritten", 500)
    assert "what was signed when it became registry.test/log-2" in found.line

    longer = taken(msgspec.structs.replace(TAKEN, size=560), size=560)
    (found,) = verified(renamed(tmp_path / "rolled-back", longer)).findings
    assert (found.code, found.size) == ("rolled-back", 560)


def test_it_is_said_when_no_key_that_was_given_signed_how_the_log_came_to_its_name(tmp_path: Path):
    rotated = SigningKey(NEW.name, ED25519, bytes(range(3, 35)))
    note = Note.parse(note_of(log()[:550], NEW))
    both = Note(note.text, (rotated.sign(note.text), *note.signatures)).encode()
    folder = renamed(tmp_path, taken())
    (folder / "checkpoint").write_bytes(both)

    words = "when and why registry.test/log-2 took the place of registry.test/log: none of the keys that were given"
    for keys, said in (
        ((rotated.verifier,), True),
        ((NEW.verifier,), False),
        ((rotated.verifier, KEY.verifier), False),
    ):
        report = verified(folder, keys=keys)
        assert lines(report) == []
        assert any(words in one for one in report.not_checked) is said


def test_a_name_that_was_given_up_is_told_with_its_reason(tmp_path: Path):
    folder = renamed(tmp_path, taken())

    grown = verified(folder, against=against(500))
    assert lines(grown) == []
    (note,) = grown.notes
    assert note.startswith("registry.test/log was given up at 500 entries, and the log is registry.test/log-2 since.")
    assert note.endswith("An old backup.")
    rolled_back = verified(folder, against=against(SIZE))
    assert [one.code for one in rolled_back.findings] == ["rolled-back"]
    assert rolled_back.notes == grown.notes


def test_memory_does_not_grow_with_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(index, "PART", 1000)
    peaks: list[int] = []
    for size in (2 * STRETCH, 8 * STRETCH):
        folder = export(entries(size), tmp_path / str(size))
        tracemalloc.start()
        assert verified(folder).verified
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < 1.3 * peaks[0], peaks
