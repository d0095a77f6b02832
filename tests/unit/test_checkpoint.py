"""Checkpoints and proof files: what is written is read back; what is altered, malformed or another's is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.merkle import VerificationError
from events.merkle.checkpoint import Checkpoint, ProofFile
from events.merkle.note import ED25519, Note, NoteError, SigningKey
from events.merkle.proofs import inclusion_path
from events.merkle.tree import node_hash, root_of

KEY = SigningKey("registry.test/log", ED25519, b"\x07" * 32)
KEYS = [KEY.verifier]
LEAVES = [bytes([number]) * 32 for number in range(100)]
hashes = st.binary(min_size=32, max_size=32)


def signed(checkpoint: Checkpoint) -> bytes:
    return Note(checkpoint.text, (KEY.sign(checkpoint.text),)).encode()


def proof(index: int, size: int) -> ProofFile:
    checkpoint = Checkpoint(KEY.name, size, root_of(LEAVES[:size]))
    return ProofFile(index, tuple(inclusion_path(LEAVES, index, size)), signed(checkpoint))


lines = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Z"]), min_size=1, max_size=20)


@given(lines, st.integers(0, 2**64 - 1), hashes, st.lists(lines, max_size=2))
def test_a_checkpoint_is_read_back_as_it_is_written(origin: str, size: int, root: bytes, extensions: list[str]):
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))

    assert Checkpoint.parse(checkpoint.text) == checkpoint
    assert Checkpoint.verified(signed(checkpoint), KEYS, origin=origin) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n1\n",
        "a\n01\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "a\n-1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "a\n\u0661\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "a\n18446744073709551616\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "a\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU\n",
        "a\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "a\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuA==\n",
        "\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "a\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str):
    with pytest.raises(VerificationError):
        Checkpoint.parse(text)


def test_a_checkpoint_of_another_log_is_refused_though_the_key_is_right():
    with pytest.raises(NoteError, match="another log"):
        Checkpoint.verified(signed(Checkpoint("elsewhere.test/log", 1, LEAVES[0])), KEYS, origin=KEY.name)


@given(st.integers(1, 100).flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size))))
def test_a_proof_file_is_read_back_and_proves_its_entry_and_no_other(where: tuple[int, int]):
    index, size = where
    written = proof(index, size)

    read = ProofFile.parse(written.encode())

    assert read == written
    assert read.verify(LEAVES[index], KEYS, origin=KEY.name).size == size
    with pytest.raises(VerificationError):
        read.verify(LEAVES[(index + 1) % 100], KEYS)


def test_extra_data_is_passed_over():
    raw = proof(3, 10).encode().replace(b"index", b"extra YWJj\nindex", 1)

    assert ProofFile.parse(raw) == proof(3, 10)


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_proof_file_with_one_bit_turned_proves_nothing(at: int, bit: int):
    raw = bytearray(proof(3, 10).encode())
    raw[at % len(raw)] ^= 1 << bit

    with pytest.raises(VerificationError):
        ProofFile.parse(bytes(raw)).verify(LEAVES[3], KEYS)


def test_a_root_that_another_path_leads_to_is_refused():
    other = node_hash(LEAVES[0], LEAVES[1])
    forged = ProofFile(0, (LEAVES[1],), signed(Checkpoint(KEY.name, 3, other)))

    with pytest.raises(VerificationError):
        forged.verify(LEAVES[0], KEYS)


@given(st.binary(max_size=300) | st.text(max_size=80).map(lambda text: f"c2sp.org/tlog-proof@v1\n{text}\n\n".encode()))
def test_whatever_the_bytes_are_they_are_a_proof_file_or_a_verification_error(raw: bytes):
    with pytest.raises(VerificationError):
        ProofFile.parse(raw).verify(LEAVES[0], KEYS)
