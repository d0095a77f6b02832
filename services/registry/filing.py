"""What a source says of its document, held against the one on file, or that comes with it, before it is recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from events.catalogue.source import Source, SourceFiled
from events.errors import FieldProblem
from events.vault import Document, Vault, document_owner
from services.registry.reading import Reading
from services.registry.resting import Resting

SHA256: Final = re.compile("[0-9a-f]{64}")


class Attached(NamedTuple):
    """A document that came with its source: it is put on file once that is recorded."""

    document: Document
    content: bytes


class Filing:
    """Looks at documents for those who file sources over them."""

    def __init__(self, vault: Vault, resting: Resting) -> None:
        self._vault = vault
        self._resting = resting

    async def unlike_it(self, document: Document, reading: Reading, stream: str = "") -> list[str]:
        """Say which sources in force, but for that of `stream`, say otherwise of a document; none if it is on file.

        They were recorded before it was there to be held against.
        """
        if await self._vault.on_file([document.sha256]):
            return []
        return [
            f"{source.id} says that {says}"
            for source in await self._over(document.sha256, reading)
            if source.withdrawn is None and f"source/{source.id}" != stream
            for says in _unlike(source.filed.event, document)
        ]

    async def is_withdrawn(self, sha256: str, reading: Reading) -> bool:
        """Whether a document that is not on file would have been destroyed, had it been: no source in force is over it.

        And one that was withdrawn is, or once was (ADR 0020).
        """
        if await self._vault.on_file([sha256]):
            return False
        over = await self._over(sha256, reading)
        in_force = any(source.withdrawn is None and source.filed.event.sha256 == sha256 for source in over)
        return not in_force and any(source.withdrawn is not None for source in over)

    async def _over(self, sha256: str, reading: Reading) -> list[Source]:
        """Return the sources that are, or once were, over a document."""
        streams = await self._resting.sources_over(sha256, reading)
        await reading.load_all(streams)
        states = [(await reading.load(one)).state for one in streams]
        return [state for state in states if isinstance(state, Source)]

    async def check(
        self, fields: Mapping[str, object], attached: Attached | None, reading: Reading
    ) -> tuple[list[FieldProblem], list[FieldProblem]]:
        """Find what a source says otherwise of its document, and whether that was destroyed: it is never filed again.

        A document that is on file has to be there when this is recorded; one that comes with the source is filed after.
        """
        sha256 = fields.get("sha256") if attached is None else attached.document.sha256
        if not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
            return [], []  # examined and named as it is
        on_file, readable = (await self._vault.on_file([sha256])).get(sha256, (None, True))
        document = on_file if attached is None else attached.document
        if document is None:
            return [], []
        if not readable:
            return [], [FieldProblem("the document was withdrawn", "/sha256")]
        if on_file is not None:
            reading.needed.add(document_owner(sha256))
        said = {"sha256": document.sha256, "size": document.size, "media_type": document.media_type}
        wrong = [
            FieldProblem(f"is {value} of the document", f"/{name}")
            for name, value in said.items()
            if fields.get(name) != value
        ]
        return wrong, []


def _unlike(filed: SourceFiled, document: Document) -> list[str]:
    if filed.sha256 != document.sha256:
        return []
    said = {"size": (filed.size, document.size), "media_type": (filed.media_type, document.media_type)}
    return [f"its {name} is {says}, not {is_}" for name, (says, is_) in said.items() if says != is_]
