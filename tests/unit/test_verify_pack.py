"""Verifying an evidence pack: what is altered, missing or too much in it is found, and whatever it is, no crash."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.registry.evidence import verify as program
from services.registry.verify.earlier import Earlier
from services.registry.verify.pack import verify_pack
from services.registry.verify.report import Report
from services.registry.verify.source import Unreadable
from tests.support.exported import KEY, SOURCE, entry, note_of
from tests.support.packing import COOPERATION, Files, contents, encoded, pack
from tests.support.verifying import OTHER_KEY, lines

DOCUMENT = b"What was said."
OTHER = b"What was said, and more."
FILED = "registry.source-filed.v1"
CORRECTED = "registry.entry-corrected.v1"
RETRACTED = "registry.entry-retracted.v1"
WITHDRAWN = "registry.source-withdrawn.v1"
CITED = {"citations": [{"source": "src_1", "start": 0, "end": 8}]}
POSITIONS = (0, 1, 2, 3, 20)


def stated(document: bytes) -> dict[str, Any]:
    return {"media_type": "text/plain", "sha256": sha256_of(document), "size": len(document)}


def sha256_of(document: bytes) -> str:
    return hashlib.sha256(document).hexdigest()


def about(position: int, source: str, revision: int, event: str, data: dict[str, Any], **more: Any) -> bytes:
    """Make an entry of a source."""
    schema = f"{SOURCE}/v1/schemas/{event}"
    subject = f"source/{source}"
    return entry(position, type=event, dataschema=schema, subject=subject, revision=revision, data=data, **more)


def log_with(*entries: tuple[str, str, dict[str, Any]]) -> tuple[bytes, ...]:
    """Make a log that has entries of sources from position 20 on."""
    revisions = Counter[str]()
    log = [entry(position, **({"data": CITED} if position == 2 else {})) for position in range(40)]
    for position, (source, event, data) in enumerate(entries, 20):
        log[position] = about(position, source, revisions[source], event, data)
        revisions[source] += 1
    return tuple(log)


@functools.cache
def log() -> tuple[bytes, ...]:
    filing = about(20, "src_1", 0, FILED, stated(DOCUMENT))
    return tuple(
        filing if position == 20 else entry(position, **({"data": CITED} if position == 2 else {}))
        for position in range(300)
    )


@functools.cache
def files() -> Files:
    return contents(log(), POSITIONS, [("src_1", DOCUMENT)])


def verified(made: Files, **asked: object) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        return verify_pack(pack(made, Path(folder) / "evidence.zip"), **{"keys": (), **asked})  # type: ignore[arg-type]


def judged(made: Files) -> list[str]:
    """Return what the program that is put into packs finds wrong."""
    with tempfile.TemporaryDirectory() as folder:
        return told(pack(made, Path(folder) / "evidence.zip"))


def told(path: Path) -> list[str]:
    said: list[str] = []
    check = program.Check(program.Pack(path), [], said.append)
    check.run()
    wrong = [line.removeprefix("WRONG  ") for line in said if line.startswith("WRONG")]
    assert len(wrong) == check.wrong
    return wrong


def test_a_pack_is_verified_with_its_own_keys_and_with_those_that_are_given():
    report = verified(files())

    assert lines(report) == judged(files()) == []
    assert (report.size, report.checkpoints) == (300, 1)
    assert any("they came with the pack" in text for text in report.not_checked)
    assert lines(verified(files(), keys=(KEY.verifier,))) == []
    assert [one.code for one in verified(files(), keys=(OTHER_KEY.verifier,)).findings] == ["checkpoint-forged"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_byte_that_is_changed_in_a_pack_is_found(data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(files())))
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
    report = verified(contents(log(), (0, 1, 3, 20), [("src_1", DOCUMENT)]))

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
        ({"verify.py": b"{}"}, "file verify.py: it is not as it was put into the pack"),
        ({"evidence.json": b"{}"}, "file evidence.json: it cannot be read: Object missing required field `cooperation`"),  # noqa: E501
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
    made = dict(files())

    assert lines(verified(made | {"verify.py": b"exit()"})) == ["file verify.py: it is not as it was put into the pack"]
    del made["README.html"]
    assert lines(verified(made)) == ["file README.html: it is not in the pack"]


def test_a_document_that_a_correction_put_in_the_place_of_another_is_filed_by_it():
    correction = {"corrects": 20, "reason": "another", "replacement": stated(OTHER), "replacement_type": FILED}
    corrected = log_with(("src_1", FILED, stated(DOCUMENT)), ("src_1", CORRECTED, correction))
    made = contents(corrected, (*POSITIONS, 21), [("src_1", OTHER)])

    assert lines(verified(made)) == []
    assert judged(made) == []


def test_a_document_is_read_no_further_than_the_entry_that_files_it_says():
    made = dict(files())
    name = f"documents/{hashlib.sha256(DOCUMENT).hexdigest()}"
    made[name] = bytes(2**22)

    assert lines(verified(made)) == [f"file {name}: it has more than {len(DOCUMENT)} bytes"]


def test_an_index_of_more_than_there_is_is_not_gone_through():
    index = json.loads(files()["evidence.json"]) | {"entries": list(range(100_000))}

    found = lines(verified(files() | {"evidence.json": encoded(index)}))

    assert found == ["file evidence.json: it speaks of more entries than there are files"]


def test_a_document_that_no_entry_files_is_named():
    report = verified(contents(log(), POSITIONS, [("src_1", DOCUMENT), ("src_2", b"Something else.")]))

    name = hashlib.sha256(b"Something else.").hexdigest()
    assert lines(report) == [f"file documents/{name}: no entry in the pack files it as src_2, of text/plain"]


# What verify.py refuses


def without(made: Files, *names: str) -> None:
    """Take out what begins so, from the manifest too."""
    manifest = json.loads(made["evidence.json"])
    for name in [one for one in made if one.startswith(names)]:
        del made[name]
        kind, _, rest = name.partition("/")
        if kind == "entries":
            manifest["entries"].remove(int(rest.removesuffix(".json")))
            del made[f"proofs/{rest.removesuffix('.json')}.tlog-proof"]
        elif kind == "documents":
            manifest["documents"] = [one for one in manifest["documents"] if one["sha256"] != rest]
    made["evidence.json"] = encoded(manifest)


def says(made: Files, **fields: Any) -> None:
    made["evidence.json"] = encoded(json.loads(made["evidence.json"]) | fields)


def says_of_document(made: Files, **fields: Any) -> None:
    says(made, documents=[one | fields for one in json.loads(made["evidence.json"])["documents"]])


def gains(made: Files, name: str, content: bytes = b"") -> None:
    made[name] = made.get(name, b"") + content


def without_aids(made: Files) -> None:
    del made["README.html"], made["verify.py"]
    says(made, files={})


UNTRUE = "withdrawn, and no entry in the pack withdraws a source that it was the document of"
NAME = f"documents/{sha256_of(DOCUMENT)}"
EDITS: dict[str, tuple[Callable[[Files], object], str]] = {
    "all entries removed": (
        lambda made: without(made, "entries/"),
        f"file evidence.json: it is about {COOPERATION}, of which there is no entry in the pack",
    ),
    "only another entry left": (
        lambda made: without(made, "documents/", "entries/0", "entries/1", "entries/2.", "entries/3"),
        f"file evidence.json: it is about {COOPERATION}, of which there is no entry in the pack",
    ),
    "another cooperation": (
        lambda made: says(made, cooperation="coop_1"),
        "file evidence.json: it is about coop_1, of which there is no entry in the pack",
    ),
    "document dropped": (
        lambda made: without(made, "documents/"),
        "position 2: it cites src_1, of which there is no document in the pack",
    ),
    "source and document dropped": (
        lambda made: without(made, "documents/", "entries/20"),
        "position 2: it cites src_1, of which there is no document in the pack",
    ),
    "source dropped": (
        lambda made: without(made, "entries/20"),
        f"file {NAME}: no entry in the pack files it as src_1, of text/plain",
    ),
    "media type changed": (
        lambda made: says_of_document(made, media_type="text/html"),
        f"file {NAME}: no entry in the pack files it as src_1, of text/html",
    ),
    "another source": (
        lambda made: says_of_document(made, source="src_2"),
        f"file {NAME}: no entry in the pack files it as src_2, of text/plain",
    ),
    "said to be withdrawn": (
        lambda made: (made.pop(NAME), says_of_document(made, withdrawn=True)),
        f"file {NAME}: the pack says that it was {UNTRUE}",
    ),
    "said to be missing": (
        lambda made: (made.pop(NAME), says_of_document(made, missing="gone")),
        f"file {NAME}: the document of src_1 is missing: what the registry kept of it is gone",
    ),
    "said to be withdrawn and missing": (
        lambda made: (made.pop(NAME), says_of_document(made, withdrawn=True, missing="gone")),
        f"file evidence.json: it has document {sha256_of(DOCUMENT)} as withdrawn and as missing",
    ),
    "missing for no reason": (
        lambda made: says_of_document(made, missing=None),
        "file evidence.json: it is not in canonical form (RFC 8785)",
    ),
    "document listed twice": (
        lambda made: says(made, documents=json.loads(made["evidence.json"])["documents"] * 2),
        f"file evidence.json: it has document {sha256_of(DOCUMENT)} of src_1 out of order, or twice",
    ),
    "entries reversed": (
        lambda made: says(made, entries=[*reversed(POSITIONS)]),
        "file evidence.json: it has entry 3 behind 20: not in order, each once",
    ),
    "entry repeated": (
        lambda made: says(made, entries=[*POSITIONS, 20]),
        "file evidence.json: it has entry 20 behind 20: not in order, each once",
    ),
    "no page and no program": (
        without_aids,
        "file evidence.json: it has no hash of verify.py: it has to have those of README.html and verify.py",
    ),
    "another aid": (
        lambda made: says(made, files=json.loads(made["evidence.json"])["files"] | {"x": "0" * 64}),
        "file evidence.json: it has a hash of x: it has to have those of README.html and verify.py",
    ),
    "another field": (
        lambda made: says(made, note="x"),
        "file evidence.json: it cannot be read: Object contains unknown field `note`",
    ),
    "white space": (
        lambda made: gains(made, "evidence.json", b"\n"),
        "file evidence.json: it is not in canonical form (RFC 8785)",
    ),
    "another size": (
        lambda made: says(made, size=299),
        "file evidence.json: it speaks of another checkpoint than the one in the pack",
    ),
    "another log": (
        lambda made: says(made, origin="other.test/log"),
        "file evidence.json: it speaks of another checkpoint than the one in the pack",
    ),
    "key named twice": (
        lambda made: gains(made, "keys", made["keys"]),
        "file keys: line 2 names a key that is named already",
    ),
    "proof with more in it": (
        lambda made: made.update(
            {"proofs/2.tlog-proof": made["proofs/2.tlog-proof"].replace(b"\n", b"\nextra eA==\n", 1)}
        ),
        "position 2: its proof has more than it needs, or the checkpoint with other signatures",
    ),
    "other signatures": (
        lambda made: gains(made, "checkpoint", f"{OTHER_KEY.sign('x').line}\n".encode()),
        "position 2: its proof has more than it needs, or the checkpoint with other signatures",
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_the_program_in_a_pack_refuses_is_refused_and_named(edit: str):
    made = dict(files())
    change, line = EDITS[edit]
    change(made)

    assert judged(made) != []
    assert line in lines(verified(made))


@settings(max_examples=200, deadline=None)
@given(
    edits=st.lists(st.sampled_from(sorted(EDITS)), min_size=1, max_size=4, unique=True),
    wild=st.booleans(),
    data=st.data(),
)
def test_whatever_edits_of_a_pack_the_program_in_it_refuses_are_refused(
    edits: list[str], wild: bool, data: st.DataObject
):
    made = dict(files())
    for edit in edits:
        with suppress(KeyError, ValueError):  # what it edits is gone already
            EDITS[edit][0](made)
    if wild:
        manifest = json.loads(made["evidence.json"])
        field = data.draw(st.sampled_from(sorted(manifest)))
        manifest[field] = data.draw(st.none() | st.integers() | st.text() | st.lists(st.integers() | st.text()))
        made["evidence.json"] = encoded(manifest)

    if judged(made):
        assert not verified(made).verified


def test_keys_that_did_not_sign_are_named_whatever_key_is_given():
    made = files() | {"keys": f"{OTHER_KEY.verifier.text}\n".encode()}

    found = lines(verified(made, keys=(KEY.verifier,)))
    assert found == ["file keys: they are not those that signed the checkpoint: none of the known keys signed this"]


@pytest.mark.parametrize(
    ("ahead", "behind", "words"),
    [
        (b"#!/bin/sh\n", b"", "there are 10 bytes ahead of the first file in it"),
        (b"", b"junk", "there is something behind its end, or a comment in that"),
        (b"PK\x03\x04", b"\0" * 22, "there is something behind its end, or a comment in that"),
    ],
)
def test_what_is_ahead_of_the_zip_or_behind_it_is_named(tmp_path: Path, ahead: bytes, behind: bytes, words: str):
    path = pack(files(), tmp_path / "evidence.zip")
    path.write_bytes(ahead + path.read_bytes() + behind)

    assert f"file evidence.zip: {words}" in lines(verify_pack(path, ()))
    assert told(path) == ["files: the archive has something ahead of its first file, or behind its end"]


def test_a_comment_of_the_zip_is_named(tmp_path: Path):
    path = pack(files(), tmp_path / "evidence.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"Believe it."

    assert lines(verify_pack(path, ())) == [
        "file evidence.zip: there is something behind its end, or a comment in that"
    ]
    assert told(path) == ["files: the archive has something ahead of its first file, or behind its end"]


def test_a_text_has_to_be_one_and_what_is_cited_has_to_stand_in_it():
    noise, short = b"\xff" * 20, "\u00e9".encode() * 7  # 14 bytes, but 7 characters
    for document, line in (
        (noise, f"file documents/{sha256_of(noise)}: it is no text in UTF-8, and src_1 says text/plain"),
        (short, "position 2: it cites src_1 from 0 to 8, and its document has 7 characters"),
    ):
        made = contents(log_with(("src_1", FILED, stated(document))), POSITIONS, [("src_1", document)])
        assert lines(verified(made)) == [line]
        assert len(judged(made)) == 1


def test_entries_that_are_older_than_those_before_them_are_named():
    turned = list(log())
    turned[20] = about(20, "src_1", 0, FILED, stated(DOCUMENT), time="2026-11-24T07:40:00.000000Z")
    made = contents(turned, POSITIONS, [("src_1", DOCUMENT)])

    assert [one.code for one in verified(made).findings] == ["time-falls"]
    assert len(judged(made)) == 1


# Documents that were withdrawn


def amended(event: str, said: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    return "src_2", event, {"reason": "so", **said}


FILING = ("src_1", FILED, stated(DOCUMENT))
ALSO = ("src_2", FILED, stated(DOCUMENT))
WITHDRAWAL = ("src_1", WITHDRAWN, {"authority": "the court", "reason": "asked"})
AWAY = amended(CORRECTED, {"corrects": 21, "replacement": stated(OTHER), "replacement_type": FILED})
IN_FORCE = "withdrawn, and src_2, which was not withdrawn, is over it"


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ((FILING, WITHDRAWAL), None),
        ((FILING, ALSO, WITHDRAWAL, ("src_2", *WITHDRAWAL[1:])), None),
        ((FILING, ALSO, AWAY, WITHDRAWAL), None),
        ((FILING, ALSO, amended(RETRACTED, {"retracts": 21}), WITHDRAWAL), None),
        ((FILING, ALSO, WITHDRAWAL, amended(RETRACTED, {"retracts": 21})), None),
        ((FILING, ALSO, ("src_2", *WITHDRAWAL[1:]), amended(CORRECTED, {"corrects": 22, "replacement": {}})),
         IN_FORCE.replace("src_2", "src_1")),
        ((FILING,), UNTRUE),
        ((FILING, ALSO), UNTRUE),
        ((FILING, ("src_2", FILED, stated(OTHER)), ("src_2", *WITHDRAWAL[1:])), UNTRUE),
        ((FILING, ALSO, WITHDRAWAL), IN_FORCE),
        ((FILING, ALSO, AWAY, amended(RETRACTED, {"retracts": 22}), WITHDRAWAL), IN_FORCE),
        ((FILING, ALSO, amended(RETRACTED, {"retracts": 21}), amended(RETRACTED, {"retracts": 22}), WITHDRAWAL),
         IN_FORCE),
    ],
)  # fmt: skip
def test_a_document_is_withdrawn_only_if_an_entry_says_so_and_no_source_is_over_it(
    entries: tuple[tuple[str, str, dict[str, Any]], ...], words: str | None
):
    positions = (*POSITIONS[:4], *range(20, 20 + len(entries)))
    over = [source for source, event, said in entries if event == FILED and said == stated(DOCUMENT)]
    made = contents(log_with(*entries), positions, [(one, DOCUMENT) for one in over], withdrawn=[DOCUMENT])

    found = {one.partition(": the pack says that it was ")[2] for one in lines(verified(made))}
    assert found == ({words} if words else set())
    said = {one.partition(": it is said to be ")[2] for one in judged(made)}
    assert said == ({words.replace(" in the pack", "")} if words else set())


def test_a_document_that_was_withdrawn_is_not_in_the_pack():
    made = contents(log_with(FILING, WITHDRAWAL), (*POSITIONS, 21), [("src_1", DOCUMENT)], withdrawn=[DOCUMENT])
    name = f"documents/{sha256_of(DOCUMENT)}"

    assert lines(verified(made)) == judged(made) == []
    assert f"file {name}: it is in the pack, which says that it was withdrawn" in lines(
        verified(made | {name: DOCUMENT})
    )


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
