"""The vault: one key per person and per document, and what is sealed under them.

AES-256-GCM (NIST SP 800-38D) with a fresh 96-bit nonce, the owner's name as additional data, so that one thing's
seal cannot be passed off as another's. Keys are kept wrapped by a master key that comes from outside the database.
Destroying a key (`events.log.Append.destroy`) makes what it sealed unreadable everywhere, in every copy and at every
log size, and leaves every proof valid: proofs are over the ciphertext. Nothing that was unsealed is kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from events.errors import Corrupt, MasterKeyUnusable, SourceWithdrawn
from events.log import NewKey, NewSalt, NewToken, Overtaken
from events.log.servers import Pool
from events.log.together import Together
from events.sql import load
from events.words import readings, words

QUERIES = load("events", "vault.sql")
KEY_BYTES = 32
NONCE_BYTES = 12
TOKEN_BYTES = 16
MOST = 100  # who ask for keys in one statement, and documents
TOGETHER = 8 * 2**20  # bytes of documents that are in memory together; a larger one is there alone
AT_ONCE = 32 * 1024  # bytes that are opened sooner than a thread would begin to
_UNREAD: Final[Mapping[type[OSError], str]] = {
    FileNotFoundError: "there is no such file",
    IsADirectoryError: "it is a folder",
    PermissionError: "whoever runs this may not read it",
}


class MasterKey:
    """The key that wraps the vault's keys. Its `key_id` says which one it is and nothing else about it."""

    def __init__(self, key: bytes) -> None:
        """Take 32 random bytes. Raises `MasterKeyUnusable` for any other length."""
        if len(key) != KEY_BYTES:
            raise MasterKeyUnusable(f"A master key has {KEY_BYTES} bytes, not {len(key)}.")
        self._key = key
        self.key_id = self.derive("key id").hex()[:16]

    @classmethod
    def from_file(cls, path: Path) -> MasterKey:
        """Read a key kept as 64 hexadecimal digits.

        Raises `MasterKeyUnusable`, which names the file and says what is wrong with it, and never shows the content.
        """
        try:
            return cls(bytes.fromhex(path.read_text("ascii").strip()))
        except OSError as refused:
            why = _UNREAD.get(type(refused)) or f"it cannot be read: {refused.strerror or refused}"
        except ValueError:
            why = "it does not hold 64 hexadecimal digits"
        raise MasterKeyUnusable(f"The master key file {path} cannot be used: {why}.")

    @classmethod
    def create_file(cls, path: Path) -> MasterKey:
        """Make a key and keep it in a new file that only its owner can read. Never writes over one."""
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(descriptor)
        return cls.from_file(path)

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes for another purpose than wrapping, independent of those for any other."""
        return hmac.digest(self._key, purpose.encode(), "sha256")

    def blind(self, distinct: Iterable[str]) -> list[bytes]:
        """Return the token of each word by which an owner is found, in their order."""
        key = self.derive("blind tokens")
        return [hmac.digest(key, word.encode(), "sha256")[:TOKEN_BYTES] for word in distinct]

    def wrap(self, owner: str, key: bytes) -> bytes:
        """Seal an owner's key."""
        return seal(self._key, f"key of {owner}", key)

    def unwrap(self, owner: str, wrapped: bytes) -> bytes:
        """Open an owner's wrapped key. Raises `Corrupt`."""
        return unseal(self._key, f"key of {owner}", wrapped)


def seal(key: bytes, owner: str, content: bytes) -> bytes:
    """Return nonce, ciphertext and tag, in that order."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, owner.encode())


def unseal(key: bytes, owner: str, sealed: bytes) -> bytes:
    """Undo `seal`. Raises `Corrupt` when the key, the owner or any byte is another."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], owner.encode())
    except (InvalidTag, ValueError):
        raise Corrupt(f"what is sealed for {owner} cannot be opened: a byte, the key or the owner is another") from None


class Document(msgspec.Struct, frozen=True):
    """What is on file of a document: its hash in hex, its size in bytes, and its code points if it is text."""

    sha256: str
    media_type: str
    size: int
    characters: int | None


class Lack(StrEnum):
    """Why there is no content of a document, or no key. The texts are what programs and evidence packs are told."""

    NEVER_FILED = "never-filed"
    WITHDRAWN = "withdrawn"
    GONE = "gone"  # its key is there, and what was sealed under it is not
    DAMAGED = "damaged"  # what is sealed cannot be opened, or is another than its hash says


Key: TypeAlias = bytes | Literal[Lack.DAMAGED]
"""An owner's key, or that what is kept of it cannot be opened."""


class Vault:
    """The keys in the database, opened by the master key, and the documents sealed under theirs."""

    def __init__(self, pool: Pool, master: MasterKey, *, points: Pool | None = None) -> None:
        """Take connections, and those, if there are any, for what is found by its key (`plan_cache_mode`)."""
        self._pool = pool
        self._points = points or pool
        self._master = master
        self._keys = Together(self._points, self._ask_keys, MOST)

    def new_key(self, owner: str) -> tuple[bytes, NewKey]:
        """Make a key, and the row that keeps it: to be written in the same transaction as what it seals."""
        key = secrets.token_bytes(KEY_BYTES)
        return key, NewKey(owner=owner, wrapped=self._master.wrap(owner, key), key_id=self._master.key_id)

    async def keys(self, owners: Collection[str]) -> dict[str, Key]:
        """Return the keys of those owners that have one, `Lack.DAMAGED` for an altered one; a destroyed key is missing.

        Raises `MasterKeyUnusable` if keys are wrapped by another master key, and none by this one.
        """
        if not owners:
            return {}
        return await self._keys.get(tuple(sorted(owners)))

    async def key(self, owner: str) -> bytes | None:
        """Return an owner's key, None if it has none (any more). Raises as `keys`, and `Corrupt` for an altered one."""
        key = (await self.keys([owner])).get(owner)
        if isinstance(key, Lack):
            raise Corrupt(f"the key of {owner} cannot be opened")
        return key

    async def _ask_keys(
        self, connection: Any, asked: Collection[tuple[str, ...]]
    ) -> dict[tuple[str, ...], dict[str, Key]]:
        records = await connection.fetch(QUERIES["keys"], sorted({owner for owners in asked for owner in owners}))
        others = {record["master_key_id"] for record in records} - {self._master.key_id}
        if others and not await connection.fetchval(QUERIES["fits"], self._master.key_id):
            named = ", ".join(sorted(others))
            raise MasterKeyUnusable(f"A key is wrapped by the master key {named}; this is {self._master.key_id}.")
        keys: dict[str, Key] = {record["owner"]: self._unwrapped(record) for record in records}
        return {owners: {owner: keys[owner] for owner in owners if owner in keys} for owners in asked}

    def _unwrapped(self, record: Any) -> Key:
        """Open a row of `vault.key`; one that names another master key than the others is as damaged as any."""
        if record["master_key_id"] != self._master.key_id:
            return Lack.DAMAGED
        try:
            return self._master.unwrap(record["owner"], record["wrapped"])
        except Corrupt:
            return Lack.DAMAGED

    async def fits(self) -> bool:
        """Whether the master key is one that keys are wrapped by, as far as there are any."""
        fits: bool = await self._pool.fetchval(QUERIES["fits"], self._master.key_id)
        return fits

    def new_salts(self, owners: Collection[str]) -> tuple[NewSalt, ...]:
        """Make what salts the hash of a command that names these owners: a part for each, gone with its key."""
        return tuple(NewSalt(owner=owner, salt=secrets.token_bytes(KEY_BYTES)) for owner in sorted(owners))

    async def salts(self, command: UUID) -> tuple[NewSalt, ...]:
        """Return what is left of the salt of a recorded command's hash, in the order of `new_salts`."""
        records = await self._pool.fetch(QUERIES["salts"], command)
        return tuple(NewSalt(owner=record["owner"], salt=record["salt"]) for record in records)

    def blind(self, owner: str, text: str) -> tuple[NewToken, ...]:
        """Return the tokens by which an owner is found by the words of a text: in the order of the words, each once."""
        return tuple(NewToken(owner, token) for token in self._master.blind(dict.fromkeys(words(text))))

    async def tokens(self, owners: Collection[str]) -> tuple[NewToken, ...]:
        """Return the tokens that owners have been found by until now."""
        if not owners:
            return ()
        records = await self._pool.fetch(QUERIES["tokens"], sorted(owners))
        return tuple(NewToken(record["owner"], record["token"]) for record in records)

    async def find(self, text: str, *, after: str = "", limit: int = 500) -> list[str]:
        """Return up to `limit` owners that have, or had, all the words of a text, in order, after an owner.

        Case and diacritics do not matter, an apostrophe is read in either way (`events.words.readings`); the beginning
        of a word is not enough. Who was erased has none. Which words were those of one name, and which is in force
        when, is for the caller to see.
        """
        meant = readings(text)
        if not meant:
            return []
        asked = [
            (token, term, reading, len(one))
            for term, either in enumerate(meant)
            for reading, one in enumerate(either)
            for token in self._master.blind(one)
        ]
        columns = [list(column) for column in zip(*asked, strict=True)]
        records = await self._pool.fetch(QUERIES["found"], *columns, len(meant), after, limit)
        return [record["owner"] for record in records]

    async def documents(self, hashes: Collection[str]) -> dict[str, Document]:
        """Return what is on file of documents, by SHA-256 in hex, whether their keys were destroyed or not."""
        return {sha256: document for sha256, (document, _) in (await self.on_file(hashes)).items()}

    async def on_file(self, hashes: Collection[str]) -> dict[str, tuple[Document, bool]]:
        """Return what is on file of documents, by SHA-256 in hex, each with whether it can be read still."""
        if not hashes:
            return {}
        records = await self._pool.fetch(QUERIES["document"], [bytes.fromhex(one) for one in hashes])
        return {
            record["sha256"].hex(): (
                Document(record["sha256"].hex(), record["media_type"], record["size"], record["characters"]),
                record["readable"],
            )
            for record in records
        }

    async def text(self, sha256: str, key: bytes) -> str | Lack | None:
        """Return the text of a document whose key is known, or why there is none; None if it is no text."""
        record = await self._points.fetchrow(QUERIES["text"], bytes.fromhex(sha256))
        sealed: bytes | None = record["sealed"] if record else None
        if sealed is None:
            return None if record else Lack.GONE
        try:
            if len(sealed) <= AT_ONCE:
                return _opened(key, sha256, sealed).decode()
            return (await asyncio.to_thread(_opened, key, sha256, sealed)).decode()
        except (Corrupt, UnicodeDecodeError):
            return Lack.DAMAGED

    async def file(
        self,
        content: bytes,
        media_type: str,
        characters: int | None,
        sha256: str | None = None,
        *,
        as_of: int | None = None,
    ) -> tuple[Document, bool]:
        """Put a document on file, sealed under a key of its own, and say whether it was new; durable by then.

        `sha256` is its hash in hex, where that is known already; `as_of` the size of the log at which it was found that
        it may be filed. Raises `SourceWithdrawn` for one whose key was destroyed, `Overtaken` if a source was withdrawn
        or amended since that size, and `MasterKeyUnusable`.
        """
        if sha256 is None:
            sha256 = (await asyncio.to_thread(hashlib.sha256, content)).hexdigest()
        owner = document_owner(sha256)
        key, row = self.new_key(owner)
        document = Document(sha256, media_type, len(content), characters)
        sealed = await asyncio.to_thread(seal, key, owner, content)
        async with self._pool.acquire() as connection, connection.transaction():
            new = await connection.fetchval(
                QUERIES["file"], bytes.fromhex(sha256), media_type, len(content), characters, sealed
            )
            if new and as_of is not None:
                await connection.execute(QUERIES["hold_log"])  # before vault.mark, as whoever records takes them
                if await connection.fetchval(QUERIES["amended"], as_of):
                    raise Overtaken("sources are not as they were")
            if new:
                try:
                    await connection.execute(QUERIES["add_key"], row.owner, row.wrapped, row.key_id)
                except asyncpg.RestrictViolationError as refused:
                    raise MasterKeyUnusable(str(refused)) from refused
            elif not await connection.fetch(QUERIES["keys"], [owner]):
                raise SourceWithdrawn("The document was withdrawn; what was destroyed is not filed again.")
        return document, bool(new)

    async def texts(self) -> dict[str, int]:
        """Return the sizes in bytes of all documents that are text and can be read, by SHA-256 in hex, in its order."""
        return {record["sha256"].hex(): record["size"] for record in await self._pool.fetch(QUERIES["texts"])}

    async def contents(self, hashes: Collection[str]) -> dict[str, bytes]:
        """Return the content of documents, by SHA-256 in hex; one whose key was destroyed is missing.

        Raises `Corrupt` when what is on file is not what its hash says.
        """
        held = await self.held(hashes)
        for sha256, content in held.items():
            if content is Lack.DAMAGED:
                raise Corrupt(f"the document {sha256} cannot be opened, or is another than its hash says")
        return {sha256: content for sha256, content in held.items() if isinstance(content, bytes)}

    async def each(self, sizes: Mapping[str, int]) -> AsyncIterator[tuple[str, bytes | Lack]]:
        """Yield what `held` returns of documents, given their sizes: few in memory at a time, and few statements."""
        for together in _parts(sizes):
            for sha256, held in (await self.held(together)).items():
                yield sha256, held

    async def held(self, hashes: Collection[str]) -> dict[str, bytes | Lack]:
        """Return the content of each document, by SHA-256 in hex, or why there is none.

        Raises `MasterKeyUnusable`.
        """
        keys = await self.keys([document_owner(one) for one in hashes])
        held: dict[str, bytes | Lack] = {
            one: Lack.GONE if document_owner(one) in keys else Lack.NEVER_FILED for one in hashes
        }
        for record in await self._pool.fetch(QUERIES["contents"], [bytes.fromhex(one) for one in hashes]):
            sha256 = record["sha256"].hex()
            key = keys.get(document_owner(sha256), Lack.WITHDRAWN)
            if isinstance(key, Lack):
                held[sha256] = key
                continue
            try:
                held[sha256] = await asyncio.to_thread(_opened, key, sha256, record["sealed"])
            except Corrupt:
                held[sha256] = Lack.DAMAGED
        return held


def _parts(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    part, total = list[str](), 0
    for sha256, size in sizes.items():
        if part and (total + size > TOGETHER or len(part) == MOST):
            yield part
            part, total = [], 0
        part.append(sha256)
        total += size
    if part:
        yield part


def _opened(key: bytes, sha256: str, sealed: bytes) -> bytes:
    content = unseal(key, document_owner(sha256), sealed)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Corrupt(f"the document {sha256} has another hash")
    return content


def person_owner(person: str) -> str:
    """Return the name under which a person's key is kept."""
    return f"person/{person}"


def document_owner(sha256: str) -> str:
    """Return the name under which a document's key is kept."""
    return f"document/{sha256}"


def plain_hash(body: bytes) -> bytes:
    """Hash a command that names nobody (SHA-256)."""
    return hashlib.sha256(body).digest()


def salted_hash(salts: Collection[NewSalt], body: bytes) -> bytes:
    """Hash a command that names somebody so that the hash tells nothing once a part of the salt is gone (HMAC-SHA-256).

    Every part has the same length, so that no two lists of parts give the same key. Without any part nothing is known
    of the hash: what is returned then equals no hash that was recorded.
    """
    key = b"".join(salt.salt for salt in salts) or secrets.token_bytes(KEY_BYTES)
    return hmac.digest(key, body, "sha256")


__all__ = [
    "Document",
    "Key",
    "Lack",
    "MasterKey",
    "Vault",
    "document_owner",
    "person_owner",
    "plain_hash",
    "salted_hash",
    "seal",
    "unseal",
]
