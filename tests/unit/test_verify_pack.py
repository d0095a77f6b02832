"""Verifying an evidence pack: what is altered, missing or too much in it is found, and whatever it is, no crash."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.registry.verify.earlier import Earlier
from services.registry.verify.pack import verify_pack
from services.registry.verify.report import Report
from services.registry.verify.source import Unreadable
from tests.support.exported import KEY, SOURCE, entry, note_of
from tests.support.packing import Files, contents, pack
from tests.support.verifying import OTHER_KEY, lines

DOCUMENT = b"What was said."
FILED = "registry.source-filed.v1"
POSITIONS = (0, 1, 2, 3, 20)


@functools.cache
def log() -> tuple[bytes, ...]:
    filing = entry(
        20,
        type=FILED,
        dataschema=f"{SOURCE}/v1/schemas/{FILED}",
        subject="source/src_1",
        revision=0,
        data={"sha256": hashlib.sha256(DOCUMENT).hexdigest(), "size": len(DOCUMENT)},
    )
    return tuple(filing if position == 20 else entry(position) for position in range(300))


@functools.cache
def files() -> Files:
    return contents(log(), POSITIONS, {"src_1": DOCUMENT})


def verified(made: Files, **asked: object) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        return verify_pack(pack(made, Path(folder) / "evidence.zip"), **{"keys": (), **asked})  # type: ignore[arg-type]


def test_a_pack_is_verified_with_its_own_keys_and_with_those_that_are_given():
    report = verified(files())

    assert lines(report) == []
    assert (report.size, report.checkpoints) == (300, 1)
    assert any("they came with the pack" in text for text in report.not_checked)
    assert lines(verified(files(), keys=(KEY.verifier,))) == []
    assert [one.code for one in verified(files(), keys=(OTHER_KEY.verifier,)).findings] == ["checkpoint-forged"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_byte_that_is_changed_in_what_proves_something_is_found(data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(set(files()) - {"evidence.json"})))
    content = bytearray(files()[name])
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))

    assert not verified(files() | {name: bytes(content)}).verified, (name, at)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_whatever_stands_in_place_of_a_file_in_a_pack_is_no_crash(data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(files())))

    assert not verified(files() | {name: data.draw(st.binary(max_size=200))}).verified


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_zip_that_is_damaged_anywhere_is_refused_or_read_and_never_a_crash(data: st.DataObject):
    with tempfile.TemporaryDirectory() as folder:
        path = pack(files(), Path(folder) / "evidence.zip")
        raw = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(bytes(raw))
        try:
            report = verify_pack(path, ())
        except Unreadable as refused:
            assert "no evidence pack" in refused.detail or "cannot be read" in refused.detail  # noqa: PT017
        else:
            assert report.verified == (not report.findings)


def test_an_entry_that_is_left_out_of_a_stream_is_missed():
    report = verified(contents(log(), (0, 1, 3, 20), {"src_1": DOCUMENT}))

    assert lines(report) == [
        "position 3: the entry has revision 3 of cooperation/coop_00000000000000000000000000, not 2"
    ]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"entries/2.json": None}, "file entries/2.json: it is not in the pack"),
        ({"proofs/2.tlog-proof": None}, "file proofs/2.tlog-proof: it is not in the pack"),
        ({"entries/9.json": b"{}"}, "file entries/9.json: evidence.json does not speak of it"),
        ({"documents/x": b"{}"}, "file documents/x: evidence.json does not speak of it"),
        ({"../../x": b"{}"}, "file ../../x: evidence.json does not speak of it"),
        ({"x.exe": b"{}"}, "file x.exe: evidence.json does not speak of it"),
        ({"verify.py": b"{}"}, "file verify.py: evidence.json does not speak of it"),
        ({"evidence.json": b"{}"}, "file evidence.json: it cannot be read: Object missing required field `origin`"),
        ({"proofs/2.tlog-proof": 3}, "position 2: its proof does not hold: the path does not lead from the leaf to the root"),  # noqa: E501
    ],
)  # fmt: skip
def test_what_is_missing_in_a_pack_or_too_much_is_named(change: dict[str, bytes | int | None], line: str):
    made: Files = dict(files())
    for name, content in change.items():
        if content is None:
            del made[name]
        else:
            made[name] = files()[f"proofs/{content}.tlog-proof"] if isinstance(content, int) else content

    assert line in lines(verified(made))


def test_the_page_and_the_script_are_those_that_were_put_into_the_pack():
    aids = {"README.html": b"Read this.", "verify.py": b"print()"}
    spoken = {name: hashlib.sha256(content).hexdigest() for name, content in aids.items()}
    made = (
        files()
        | aids
        | {"evidence.json": json.dumps(json.loads(files()["evidence.json"]) | {"files": spoken}).encode()}
    )

    assert lines(verified(made)) == []
    assert lines(verified(made | {"verify.py": b"exit()"})) == ["file verify.py: it is not as it was put into the pack"]
    del made["README.html"]
    assert lines(verified(made)) == ["file README.html: it is not in the pack"]


def test_a_document_that_a_correction_put_in_the_place_of_another_is_filed_by_it():
    other = b"What was said, and more."
    correction = entry(
        21,
        type="registry.entry-corrected.v1",
        dataschema=f"{SOURCE}/v1/schemas/registry.entry-corrected.v1",
        subject="source/src_1",
        revision=1,
        data={
            "corrects": 20,
            "reason": "another copy",
            "replacement": {"sha256": hashlib.sha256(other).hexdigest(), "size": len(other)},
            "replacement_type": FILED,
        },
    )
    made = contents([*log()[:21], correction, *log()[22:]], (*POSITIONS, 21), {"src_1": other})

    assert lines(verified(made)) == []


def test_a_document_is_read_no_further_than_the_entry_that_files_it_says():
    made = dict(files())
    name = f"documents/{hashlib.sha256(DOCUMENT).hexdigest()}"
    made[name] = bytes(2**22)

    assert lines(verified(made)) == [f"file {name}: it has more than {len(DOCUMENT)} bytes"]


def test_an_index_of_more_than_there_is_is_not_gone_through():
    index = json.loads(files()["evidence.json"]) | {"entries": list(range(100_000))}

    found = lines(verified(files() | {"evidence.json": json.dumps(index).encode()}))

    assert found == ["file evidence.json: it speaks of more entries than there are files"]


def test_a_document_that_no_entry_files_is_named():
    report = verified(contents(log(), POSITIONS, {"src_1": DOCUMENT, "src_2": b"Something else."}))

    name = hashlib.sha256(b"Something else.").hexdigest()
    assert lines(report) == [f"file documents/{name}: no entry in the pack files it as src_2"]


def test_a_document_that_was_withdrawn_is_not_looked_for():
    made = dict(files())
    del made[f"documents/{hashlib.sha256(DOCUMENT).hexdigest()}"]

    assert not verified(made).verified
    made["evidence.json"] = made["evidence.json"].replace(b'"withdrawn":false', b'"withdrawn":true')
    assert lines(verified(made)) == []


def test_a_pack_is_held_against_a_checkpoint_of_its_own_size_and_says_so_where_it_cannot_be():
    same = verified(files(), against=Earlier(note_of(log()), "yesterday"))
    assert lines(same) == []
    other = verified(files(), against=Earlier(note_of([*log()[:299], entry(299, actor="x")]), "yesterday"))
    assert [one.code for one in other.findings] == ["rewritten"]
    older = verified(files(), against=Earlier(note_of(log()[:100]), "yesterday"))
    assert lines(older) == []
    assert any("a pack does not have the tree" in text for text in older.not_checked)


def test_what_is_no_zip_is_no_pack(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"nothing")

    with pytest.raises(Unreadable, match="no evidence pack"):
        verify_pack(tmp_path / "file", ())
    with pytest.raises(Unreadable, match="cannot be read"):
        verify_pack(tmp_path / "missing", ())
