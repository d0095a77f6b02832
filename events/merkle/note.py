"""Signed notes (C2SP signed-note) and cosignatures (C2SP tlog-cosignature): texts that keys vouch for.

A note is a text, an empty line and a signature line a key. Which algorithm a key is for is a byte of the key; each
is one entry of `ALGORITHMS`, and that table is all there is to add another to. Reading a note raises `NoteError` for
whatever is not one; nothing of its text is to be believed before `Note.verify`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from events.merkle import VerificationError

MAX_NOTE_BYTES: Final = 1_000_000
MAX_SIGNATURES: Final = 100
KEY_ID_BYTES: Final = 4
_LINE: Final = re.compile("\u2014 ([^ \n]+) ([A-Za-z0-9+/]+={0,2})")
_TIME: Final = struct.Struct(">Q")
_MAX_TIME: Final = 2**63 - 1


class NoteError(VerificationError):
    """The bytes are no signed note, the text no key, or a signature is not what it has to be."""


class Algorithm(msgspec.Struct, frozen=True):
    """How keys of one signature type sign and verify.

    `sign` takes the seed, the note's text and a time in seconds since 1970; `verify` the public key, the text and the
    signature, and raises `NoteError`.
    """

    name: str
    public_key: Callable[[bytes], bytes]
    sign: Callable[[bytes, bytes, int], bytes]
    verify: Callable[[bytes, bytes, bytes], None]
    seed_bytes: int = 32
    public_bytes: int = 32


def _public_key(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def _sign(seed: bytes, text: bytes, _time: int) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).sign(text)


def _verify(public: bytes, text: bytes, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except (InvalidSignature, ValueError):
        raise NoteError("the signature is not that of the text") from None


def _cosigned(text: bytes, time: int) -> bytes:
    return b"cosignature/v1\ntime %d\n" % time + text


def _cosign(seed: bytes, text: bytes, time: int) -> bytes:
    return _TIME.pack(time) + _sign(seed, _cosigned(text, time), time)


def _verify_cosignature(public: bytes, text: bytes, signature: bytes) -> None:
    _verify(public, _cosigned(text, cosigned_at(signature)), signature[_TIME.size :])


def cosigned_at(signature: bytes) -> int:
    """Return when a cosignature says that it was made, in seconds since 1970. Raises `NoteError`."""
    if len(signature) < _TIME.size:
        raise NoteError("the cosignature has no time")
    time: int = _TIME.unpack_from(signature)[0]
    if time > _MAX_TIME:
        raise NoteError("the cosignature's time is beyond 2^63 - 1")
    return time


ED25519: Final = 0x01
COSIGNATURE: Final = 0x04
ALGORITHMS: Final[Mapping[int, Algorithm]] = MappingProxyType(
    {
        ED25519: Algorithm("Ed25519", _public_key, _sign, _verify),
        COSIGNATURE: Algorithm("Ed25519 cosignature", _public_key, _cosign, _verify_cosignature),
    }
)
"""By the signature type that C2SP signed-note assigns."""


class VerifierKey(msgspec.Struct, frozen=True):
    """A public key: the name of who has it, its signature type, its bytes. Raises `NoteError` for no such key."""

    name: str
    algorithm: int
    public: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.algorithm not in ALGORITHMS:
            raise NoteError(f"signature type {self.algorithm:#04x} is not known here")
        if len(self.public) != ALGORITHMS[self.algorithm].public_bytes:
            raise NoteError("the public key has not the length that its type asks for")

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read `name+hex8(key id)+base64(type || key)`. Raises `NoteError`."""
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        material = _base64(encoded)
        if not material:
            raise NoteError("the verifier key has no key")
        key = cls(name, material[0], material[1:])
        if key_id != key.key_id.hex():
            raise NoteError("the verifier key's id is not that of its key")
        return key

    @property
    def key_id(self) -> bytes:
        """Tell the key from others of the same name: 4 bytes."""
        named = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public
        return hashlib.sha256(named).digest()[:KEY_ID_BYTES]

    @property
    def text(self) -> str:
        """Write the key as `parse` reads it."""
        return f"{self.name}+{self.key_id.hex()}+{_text64(bytes([self.algorithm]) + self.public)}"


class SigningKey(msgspec.Struct, frozen=True):
    """A private key. Nothing shows its seed but `text`, which is what its file holds."""

    name: str
    algorithm: int
    seed: bytes

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Read `PRIVATE+KEY+name+hex8(key id)+base64(type || seed)`. Raises `NoteError`, which shows none of it."""
        private, _, rest = text.partition("+")
        word, _, rest = rest.partition("+")
        name, _, rest = rest.partition("+")
        key_id, _, encoded = rest.partition("+")
        material = _base64(encoded)
        if (private, word) != ("PRIVATE", "KEY") or not material or material[0] not in ALGORITHMS:
            raise NoteError("this is no signing key")
        key = cls(name, material[0], material[1:])
        if len(key.seed) != ALGORITHMS[key.algorithm].seed_bytes or key.verifier.key_id.hex() != key_id:
            raise NoteError("this is no signing key: its id is not that of its key")
        return key

    def __repr__(self) -> str:
        return f"SigningKey({self.verifier.text!r})"

    @property
    def text(self) -> str:
        """Write the key as `parse` reads it: a secret."""
        return f"PRIVATE+KEY+{self.name}+{self.verifier.key_id.hex()}+{_text64(bytes([self.algorithm]) + self.seed)}"

    @property
    def verifier(self) -> VerifierKey:
        """Return the key that others verify with."""
        return VerifierKey(self.name, self.algorithm, ALGORITHMS[self.algorithm].public_key(self.seed))

    def sign(self, text: str, time: int = 0) -> Signature:
        """Sign a note's text; a cosignature says that it was made at `time` (seconds since 1970)."""
        blob = ALGORITHMS[self.algorithm].sign(self.seed, text.encode(), time)
        return Signature(self.name, self.verifier.key_id, blob)


class Signature(msgspec.Struct, frozen=True):
    """A signature line: whose key, which, and the signature's bytes."""

    name: str
    key_id: bytes
    blob: bytes

    @classmethod
    def parse(cls, line: str) -> Signature:
        """Read a line, without its end. Raises `NoteError`."""
        found = _LINE.fullmatch(line)
        if found is None:
            raise NoteError("a signature line is not in form")
        check_name(found[1])
        raw = _base64(found[2])
        if len(raw) <= KEY_ID_BYTES:
            raise NoteError("a signature has no bytes")
        return cls(found[1], raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])

    @property
    def line(self) -> str:
        """Write the line, without its end."""
        return f"\u2014 {self.name} {_text64(self.key_id + self.blob)}"

    def is_of(self, key: VerifierKey) -> bool:
        """Tell whether the line says that this key made it; whether it did, `Note.verify` tells."""
        return (self.name, self.key_id) == (key.name, key.key_id)


class Note(msgspec.Struct, frozen=True):
    """A text (which ends in a newline) and its signatures."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Note:
        """Take a note apart at its last empty line, believing nothing yet. Raises `NoteError`."""
        if len(raw) > MAX_NOTE_BYTES:
            raise NoteError(f"a note has at most {MAX_NOTE_BYTES} bytes")
        try:
            whole = raw.decode()
        except UnicodeDecodeError:
            raise NoteError("the note is not UTF-8") from None
        if re.search(r"[\x00-\x09\x0b-\x1f]", whole):
            raise NoteError("the note has control characters")
        text, blank, signed = whole.rpartition("\n\n")
        if not blank or not signed.endswith("\n"):
            raise NoteError("the note has no text, or no signatures behind an empty line")
        lines = signed[:-1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise NoteError(f"a note has at most {MAX_SIGNATURES} signatures")
        return cls(text + "\n", tuple(Signature.parse(line) for line in lines))

    def encode(self) -> bytes:
        """Write the note as it is published."""
        return "".join([self.text, "\n", *(f"{one.line}\n" for one in self.signatures)]).encode()

    def verify(self, keys: Iterable[VerifierKey]) -> tuple[VerifierKey, ...]:
        """Return those of the keys that signed this, each once and in their order, however often one signed.

        Signatures of other keys are passed over. Raises `NoteError` if any that is said to be of a key is not, or if
        none of the keys signed.
        """
        signers: list[VerifierKey] = []
        for key in dict.fromkeys(keys):
            of_key = [one for one in self.signatures if one.is_of(key)]
            for one in of_key:
                ALGORITHMS[key.algorithm].verify(key.public, self.text.encode(), one.blob)
            if of_key:
                signers.append(key)
        if not signers:
            raise NoteError("none of the known keys signed this")
        return tuple(signers)


def check_name(name: str) -> None:
    """Raise `NoteError` for what cannot be a key's name: nothing, or a text with spaces or a plus in it."""
    if not name or "+" in name or any(each.isspace() or ord(each) < ord(" ") for each in name):
        raise NoteError("a key's name is a text without spaces and plus signs")


def _base64(text: str) -> bytes:
    """Decode RFC 4648, section 4, strictly: one text for each value."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError("not base64") from None
    if _text64(raw) != text:
        raise NoteError("not base64 in its one form")
    return raw


def _text64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
