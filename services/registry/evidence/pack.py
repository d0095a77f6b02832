"""Making an evidence pack: the files of a zip archive, one after the other, in memory that does not grow with it.

At the same checkpoint the same content gives the same bytes. The page and `evidence.json` come last, so that they say
what there is: a document may be withdrawn while the pack is made, or turn out to be damaged.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from importlib import resources

from events.entry import canonical
from events.log import Reader, Recorded
from events.log.checkpoints import Signed
from events.log.tree import Tree
from events.merkle.checkpoint import ProofFile
from events.merkle.note import VerifierKey
from events.vault import Lack, Vault
from services.registry.evidence import page
from services.registry.evidence.contents import Contents, pages
from services.registry.evidence.manifest import PAGE, VERIFIER, Document, Evidence, Reason
from services.registry.evidence.zipping import Zip
from services.registry.signing.published import encode_keys


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
        aids = {PAGE: page.render(contents, signed, keys, documents).encode(), VERIFIER: verifier()}
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


def _missing(lack: Lack | None) -> Reason | None:
    if lack is Lack.GONE:
        return "gone"
    return "damaged" if lack is Lack.DAMAGED else None


def verifier() -> bytes:
    """Return the program that checks a pack, as it is put into one."""
    return resources.files("services.registry.evidence").joinpath(VERIFIER).read_bytes()
