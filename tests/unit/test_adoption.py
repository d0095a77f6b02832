"""What is signed when a log takes another name: read as it was written, and nothing else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.merkle import VerificationError
from events.merkle.adoption import MAX_REASON, Adoption, Last, is_reason
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import ED25519, Note, NoteError, SigningKey

OLD = SigningKey("registry.test/log", ED25519, bytes(range(32)))
NEW = SigningKey("registry.test/log-2", ED25519, bytes(range(1, 33)))
ADOPTION = Adoption(
    origin=NEW.name,
    key=NEW.verifier,
    replaces=OLD.name,
    size=57,
    root=bytes(32),
    last=Last(60, b"\x01" * 32),
    adopted_at="2026-11-24T09:00:00+00:00",
    reason="The disk was lost, and the backup was of yesterday.",
)
TEXT = (
    "registry/log-adoption@v1\n"
    "origin registry.test/log-2\n"
    "key registry.test/log-2+963906c7+AXm1Vi6P5lT5QHixEuipi6eQH4U65pW+1+DjkQutBJZk\n"
    "replaces registry.test/log\n"
    "size 57\n"
    "root AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
    "last 60 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
    "adopted 2026-11-24T09:00:00+00:00\n"
    "reason The disk was lost, and the backup was of yesterday.\n"
)

hashes = st.binary(min_size=32, max_size=32)
sizes = st.integers(0, 2**63)
reasons = st.text(max_size=MAX_REASON).filter(is_reason)


def signed(text: str, *keys: SigningKey) -> bytes:
    return Note(text, tuple(key.sign(text) for key in keys)).encode()


def test_the_text_is_one_that_people_can_read():
    assert ADOPTION.text == TEXT
    assert msgspec.structs.replace(ADOPTION, last=None).text == TEXT.replace(TEXT.splitlines()[6], "last none")


@given(sizes, hashes, st.none() | st.builds(Last, sizes, hashes), reasons)
def test_it_is_read_as_it_was_written_and_never_as_a_checkpoint(size: int, root: bytes, last: Last | None, reason: str):
    adoption = msgspec.structs.replace(ADOPTION, size=size, root=root, last=last, reason=reason)

    assert Adoption.verified(signed(adoption.text, NEW, OLD), [OLD.verifier, NEW.verifier]) == (
        adoption,
        (OLD.verifier, NEW.verifier),
    )
    with pytest.raises(VerificationError):
        Checkpoint.parse(adoption.text)
    with pytest.raises(VerificationError):
        Adoption.parse(Checkpoint(NEW.name, size, root).text)


@given(st.text() | st.lists(st.sampled_from(TEXT.splitlines()), max_size=12).map(lambda lines: "\n".join(lines) + "\n"))
def test_whatever_else_is_read_is_a_verification_error(text: str):
    if text != TEXT:
        with pytest.raises(VerificationError):
            Adoption.parse(text)


@pytest.mark.parametrize(
    ("this", "that"),
    [
        ("size 57", "size 057"),
        ("size 57", "size -1"),
        ("root A", "root *"),
        ("last 60 ", "last 60  "),
        ("last 60 ", "last "),
        ("+963906c7+", "+963906c8+"),
        ("origin registry.test/log-2", "origin registry.test/log-3"),
        ("replaces registry.test/log\n", "replaces registry.test/log-2\n"),
        ("reason The", "reason \x85The"),
        ("@v1", "@v2"),
    ],
)
def test_a_line_that_is_not_as_it_has_to_be_is_refused(this: str, that: str):
    assert this in TEXT
    with pytest.raises(VerificationError):
        Adoption.parse(TEXT.replace(this, that, 1))


def test_a_key_of_the_new_name_has_to_have_signed_it_and_that_of_the_old_one_is_not_enough():
    with pytest.raises(NoteError, match=r"none of the known keys of registry\.test/log-2"):
        Adoption.verified(signed(TEXT, OLD), [OLD.verifier, NEW.verifier])
    note = signed(TEXT, NEW).replace(b"yesterday", b"last year")
    with pytest.raises(NoteError, match="not that of the text"):
        Adoption.verified(note, [NEW.verifier])


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "a\ttab", "line\u2028end", "half \ud800", "x" * 501])
def test_a_reason_that_is_not_one_line_is_none(reason: str):
    assert not is_reason(reason)
    with pytest.raises(NoteError):
        msgspec.structs.replace(ADOPTION, reason=reason)
