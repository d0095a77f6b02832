"""Citations: checked against the filed text before they are recorded, and cut from it when they are read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, cast

from events.errors import FieldProblem
from events.shape import examine, typed
from events.values import Citation
from events.vault import Document, Vault


class Citations:
    """The texts that are cited."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def check(
        self, body: object, hash_of: Callable[[str], Awaitable[str | None]], attached: Mapping[str, Document]
    ) -> tuple[list[FieldProblem], list[FieldProblem]]:
        """Find the citations of a body that lie beyond their text, and those whose text is not on file.

        `hash_of` gives the SHA-256 of a source's document, None for no source; `attached` has, by hash, the documents
        that come with the request. What else is wrong with the body is not this function's to say.
        """
        cited = {number: one for number, one in well_formed(body) if await hash_of(one.source)}
        if not cited:
            return [], []
        hashes = {number: str(await hash_of(one.source)) for number, one in cited.items()}
        on_file = await self._vault.on_file(set(hashes.values()))
        documents = {sha256: document for sha256, (document, readable) in on_file.items() if readable}
        documents |= attached
        beyond: list[FieldProblem] = []
        missing: list[FieldProblem] = []
        for number, one in cited.items():
            document = documents.get(hashes[number])
            if document is None:
                says = "was withdrawn" if hashes[number] in on_file else "is not on file"
                problem = f"the document of {one.source} {says}"
                missing.append(FieldProblem(problem, f"/citations/{number}/source"))
            else:
                beyond += _beyond(one, document.characters, f"/citations/{number}")
        return beyond, missing


def well_formed(body: object) -> Iterator[tuple[int, Citation]]:
    """Yield the citations of a body that are in order, each with its number."""
    citations: object = cast("dict[str, Any]", body).get("citations") if isinstance(body, dict) else None
    if isinstance(citations, list):
        for number, raw in enumerate(cast("list[object]", citations)):
            if not examine(raw, Citation)[0]:
                yield number, typed(raw, Citation)


def _beyond(citation: Citation, characters: int | None, pointer: str) -> Iterator[FieldProblem]:
    if characters is None:
        yield FieldProblem("the document is not text, so nothing can be cut from it", f"{pointer}/source")
    elif citation.end > characters:
        yield FieldProblem(f"the text has {characters} characters", f"{pointer}/end")
    if citation.start >= citation.end:
        yield FieldProblem("must be less than the end", f"{pointer}/start")
