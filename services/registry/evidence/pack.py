"""Making an evidence pack: the files of a zip archive, one after the other, in memory that does not grow with it.

At the same checkpoint the same content gives the same bytes. The page and `evidence.json` come last, so that they say
what there is: a document may be withdrawn while the pack is made, or turn out to be damaged.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from importlib import resources
from typing import Final, Literal

import msgspec

from events.entry import canonical
from events.log import Reader, Recorded
from events.log.checkpoints import Signed
from events.log.tree import Tree
from events.merkle.checkpoint import ProofFile
from events.merkle.note import VerifierKey
from events.vault import Lack, Vault
from services.registry.evidence import page
from services.registry.evidence.contents import Contents, pages
from services.registry.evidence.zipping import Zip
from services.registry.signing.published import encode_keys

VERIFIER: Final = "verify.py"
PAGE: Final = "README.html"


class Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document of the pack, one that was withdrawn, or one that the registry should have and cannot give."""

    sha256: str
    source: str
    media_type: str
    withdrawn: bool
    missing: Literal[Lack.GONE, Lack.DAMAGED] | None = None


class Evidence(msgspec.Struct, frozen=True):
    """What `evidence.json` says; `files` are the hashes of those that nothing else vouches for."""

    cooperation: str
    size: int
    origin: str
    entries: tuple[int, ...]
    documents: tuple[Document, ...]
    files: dict[str, str]


class Packer:
    """Makes packs."""

    def __init__(self, log: Reader, tree: Tree, vault: Vault) -> None:
        self._log = log
        self._tree = tree
        self._vault = vault

    async def pack(self, contents: Contents, signed: Signed, keys: Sequence[VerifierKey]) -> AsyncGenerator[bytes]:
        """Yield the bytes of the archive. Contents and checkpoint are of the same size."""
        archive = Zip()
        note = signed.note.encode()
        for name, content in {"checkpoint": note, "keys": encode_keys(keys)}.items():
            archive.add(name, content)
        async for recorded in pages(self._log, contents.streams, contents.size):
            await self._add(archive, recorded, contents.size, note)
            yield archive.take()
        lacks = dict[str, Lack | None]()  # by document; those that never came are no matter of the pack
        for sha256 in sorted({one.sha256 for one in contents.documents}):
            held = (await self._vault.held([sha256]))[sha256]
            if held is not Lack.NEVER_FILED:
                lacks[sha256] = held if isinstance(held, Lack) else None
            if isinstance(held, bytes):
                await asyncio.to_thread(archive.add, f"documents/{sha256}", held)
                yield archive.take()
        documents = tuple(
            Document(one.sha256, one.source, one.media_type, lack is Lack.WITHDRAWN, _missing(lack))
            for one in contents.documents
            if (lack := lacks.get(one.sha256, Lack.NEVER_FILED)) is not Lack.NEVER_FILED
        )
        told = [(one.sha256, one.source, one.missing) for one in documents if one.missing]
        aids = {PAGE: page.render(contents, signed, keys, told).encode(), VERIFIER: verifier()}
        for name, content in aids.items():
            archive.add(name, content)
        evidence = Evidence(
            cooperation=contents.cooperation,
            size=contents.size,
            origin=signed.checkpoint.origin,
            entries=contents.positions,
            documents=documents,
            files={name: hashlib.sha256(content).hexdigest() for name, content in aids.items()},
        )
        archive.add("evidence.json", canonical.encode(evidence))
        yield archive.close()

    async def _add(self, archive: Zip, entries: Sequence[Recorded], size: int, note: bytes) -> None:
        paths = await self._tree.inclusions([one.position for one in entries], size)
        for recorded, path in zip(entries, paths, strict=True):
            proof = ProofFile(recorded.position, tuple(path), note).encode()
            archive.add(f"entries/{recorded.position}.json", recorded.bytes)
            archive.add(f"proofs/{recorded.position}.tlog-proof", proof)


def _missing(lack: Lack | None) -> Literal[Lack.GONE, Lack.DAMAGED] | None:
    return lack if lack is Lack.GONE or lack is Lack.DAMAGED else None


def verifier() -> bytes:
    """Return the program that checks a pack, as it is put into one."""
    return resources.files("services.registry.evidence").joinpath(VERIFIER).read_bytes()
