"""Signed notes and verifier keys (C2SP signed-note): what is not one gets NoteError and nothing else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events.merkle.note import (
    ALGORITHMS,
    COSIGNATURE,
    ED25519,
    MAX_SIGNATURES,
    Note,
    NoteError,
    Signature,
    SigningKey,
    VerifierKey,
    cosigned_at,
)

# The example of the C2SP signed-note specification: the log's own checkpoint from tlog-checkpoint.
PUBLISHED = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "\u2014 example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZ"
    "qhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
).encode()
KEY = SigningKey("registry.test/log", ED25519, b"\x07" * 32)
WITNESS = SigningKey("witness.test/one", COSIGNATURE, b"\x08" * 32)
TEXT = "registry.test/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"

names = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="+\x85"), min_size=1, max_size=30
).filter(lambda name: not any(each.isspace() for each in name))
texts = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]) | st.just("\n"), max_size=200).map(
    lambda text: text + "\n"
)


def note(*signatures: Signature, text: str = TEXT) -> Note:
    return Note(text, signatures)


def test_the_published_example_is_read_as_what_it_is():
    read = Note.parse(PUBLISHED)

    assert read.text.splitlines()[1] == "20852163"
    assert [one.name for one in read.signatures] == ["example.com/behind-the-sofa", "witness.example.com/w1"]
    assert read.signatures[0].key_id.hex() == "033de0ae"
    assert cosigned_at(read.signatures[1].blob) == 1679315147
    assert read.encode() == PUBLISHED


@given(names, st.sampled_from(sorted(ALGORITHMS)), st.binary(min_size=32, max_size=32))
def test_keys_are_read_back_as_they_are_written(name: str, algorithm: int, seed: bytes):
    key = SigningKey(name, algorithm, seed)

    assert SigningKey.parse(key.text) == key
    assert VerifierKey.parse(key.verifier.text) == key.verifier
    assert base64.b64encode(bytes([algorithm]) + seed).decode() not in repr(key)


@given(texts, st.integers(0, 2**63 - 1))
def test_a_note_is_read_back_and_verified_by_those_who_signed_it(text: str, time: int):
    signed = note(KEY.sign(text), WITNESS.sign(text, time), text=text)

    read = Note.parse(signed.encode())

    assert read == signed
    assert read.verify([WITNESS.verifier, KEY.verifier]) == (WITNESS.verifier, KEY.verifier)
    assert cosigned_at(read.signatures[1].blob) == time


def test_signatures_of_unknown_keys_are_passed_over_even_under_a_known_name():
    stranger = SigningKey(KEY.name, ED25519, b"\x09" * 32)

    assert note(stranger.sign(TEXT), KEY.sign(TEXT)).verify([KEY.verifier]) == (KEY.verifier,)
    with pytest.raises(NoteError, match="none of the known keys"):
        note(stranger.sign(TEXT)).verify([KEY.verifier])


def test_a_known_keys_wrong_signature_spoils_the_note_though_others_are_right():
    wrong = KEY.sign("another text\n")

    with pytest.raises(NoteError, match="not that of the text"):
        note(WITNESS.sign(TEXT, 1), wrong).verify([WITNESS.verifier, KEY.verifier])


def test_a_known_key_that_signs_several_times_counts_once_if_every_signature_is_right():
    several = note(WITNESS.sign(TEXT, 1), KEY.sign(TEXT), WITNESS.sign(TEXT, 2), KEY.sign(TEXT))
    assert several.verify([KEY.verifier, WITNESS.verifier, KEY.verifier]) == (KEY.verifier, WITNESS.verifier)
    for wrong in (KEY.sign("another text\n"), WITNESS.sign("another text\n", 1)):
        for signatures in ((*several.signatures, wrong), (wrong, *several.signatures)):
            with pytest.raises(NoteError, match="not that of the text"):
                note(*signatures).verify([KEY.verifier, WITNESS.verifier])


def test_a_cosignature_holds_for_its_own_time_only():
    cosigned = WITNESS.sign(TEXT, 1)
    later = Signature(cosigned.name, cosigned.key_id, WITNESS.sign(TEXT, 2).blob[:8] + cosigned.blob[8:])

    with pytest.raises(NoteError):
        note(later).verify([WITNESS.verifier])


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_note_with_one_bit_turned_is_refused(at: int, bit: int):
    raw = bytearray(note(KEY.sign(TEXT)).encode())
    raw[at % len(raw)] ^= 1 << bit

    with pytest.raises(NoteError):
        Note.parse(bytes(raw)).verify([KEY.verifier])


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "no text"),
        (TEXT.encode(), "no text"),
        (b"\n" + KEY.sign("").line.encode() + b"\n", "no text"),
        (TEXT.encode() + b"\n", "no text"),
        (TEXT.encode() + b"\n\xe2\x80\x94 a b c\n", "not in form"),
        (TEXT.encode() + b"\n- " + KEY.sign(TEXT).line.encode()[4:] + b"\n", "not in form"),
        (TEXT.encode() + b"\n" + KEY.sign(TEXT).line.encode(), "no text"),
        (TEXT.encode() + "\n\u2014 a YWJjZA==\n".encode(), "no bytes"),
        (TEXT.encode() + "\n\u2014 a YWJjZGV=\n".encode(), "one form"),
        (TEXT.encode() + "\n\u2014 a+b YWJjZGU=\n".encode(), "name"),
        (TEXT.encode() + "\n\u2014 a\u2003b YWJjZGU=\n".encode(), "name"),
        (b"\xff" + TEXT.encode(), "UTF-8"),
        (b"\r\n" + note(KEY.sign(TEXT)).encode(), "control"),
        (TEXT.encode() + b"\n" + (KEY.sign(TEXT).line.encode() + b"\n") * (MAX_SIGNATURES + 1), "at most"),
        (b"a" * 1_000_001, "at most"),
    ],
)
def test_what_is_no_note_is_refused_by_saying_why(raw: bytes, says: str):
    with pytest.raises(NoteError, match=says):
        Note.parse(raw)


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: f"{TEXT}\n{text}\n".encode()))
@example(PUBLISHED)
def test_whatever_the_bytes_are_they_are_a_note_or_a_note_error(raw: bytes):
    try:
        read = Note.parse(raw)
    except NoteError:
        return
    assert read.encode() == raw
    with pytest.raises(NoteError):
        read.verify([KEY.verifier])


@given(st.text(max_size=80) | st.text(max_size=60).map(lambda text: f"a+00000000+{text}"))
@example("")
@example(KEY.verifier.text + "=")
@example("a+00000000+")
@example("PRIVATE+KEY+a+00000000+AQ==")
@example("a+00000000+AgAA")
def test_whatever_the_text_is_it_is_a_key_or_a_note_error(text: str):
    for kind in (VerifierKey, SigningKey):
        with pytest.raises(NoteError):
            kind.parse(text)


def test_a_key_whose_id_is_anothers_is_refused():
    name, _, encoded = KEY.verifier.text.split("+")

    with pytest.raises(NoteError, match="id"):
        VerifierKey.parse(f"{name}+00000000+{encoded}")
    with pytest.raises(NoteError, match="id"):
        SigningKey.parse(KEY.text.replace(KEY.verifier.key_id.hex(), "00000000"))


@given(st.binary(max_size=80))
def test_a_cosignature_is_of_a_time_or_refused(blob: bytes):
    try:
        time = cosigned_at(blob)
    except NoteError:
        assert len(blob) < 8 or blob[0] >= 0x80
    else:
        assert blob[:8] == time.to_bytes(8, "big")
