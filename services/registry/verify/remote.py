"""A running service, as anybody with a token of an auditor verifies it over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Final, Self

import httpx
import msgspec

from events.entry import leaf_hash
from events.merkle import VerificationError
from events.merkle.checkpoint import Checkpoint, base64_of, hash_of
from events.merkle.note import Note
from events.merkle.proofs import verify_consistency, verify_inclusion
from events.merkle.tiles import WIDTH, Tile
from services.registry.verify.chunk import Bundle
from services.registry.verify.earlier import root_by_tiles
from services.registry.verify.export import ONLY_IN_THE_DATABASE
from services.registry.verify.findings import Findings
from services.registry.verify.source import Head, Published, Unreadable

TIMEOUT: Final = 30.0  # seconds for which a service may be silent
LONGEST: Final = 300.0  # seconds that one answer may take, however little of it comes at a time
CONNECTIONS: Final = 8
PROOFS: Final = 8  # that are asked for, beside those of the first and the last entry
MAX_ANSWER: Final = 32 * 1024**2


class Inclusion(msgspec.Struct):
    """What is used of a proof of an entry."""

    root: str
    path: list[str]


class Consistency(msgspec.Struct):
    """What is used of a proof that the log has grown."""

    from_root: str
    path: list[str]


class Problem(msgspec.Struct):
    """What is used of a refusal."""

    detail: str


class Service:
    """A service by its address, without `/log`. Raises `Unreadable` for what is none."""

    complete = True
    events = True

    def __init__(self, url: str, token: str | None, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.name = url
        self.checks: Sequence[str] = ("some of the proofs that the service makes",)
        self.beyond: Sequence[str] = (ONLY_IN_THE_DATABASE,)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            self._client = httpx.AsyncClient(
                base_url=url,
                headers=headers,
                timeout=TIMEOUT,
                transport=transport,
                limits=httpx.Limits(max_connections=CONNECTIONS),
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            raise Unreadable(f"{url} is no address: {error}.") from None
        self._checkpoint: Checkpoint | None = None

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None, /
    ) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def published(self) -> Published:
        """Ask for checkpoint, keys and origins."""
        checkpoint = await self._get("/log/checkpoint")
        keys, origins = await self._get("/log/keys"), await self._get("/log/origins")
        if checkpoint is None or keys is None:
            lacks = "/log/checkpoint" if checkpoint is None else "/log/keys"
            raise Unreadable(f"{self.name} serves no log: there is no {lacks}.")
        try:
            self._checkpoint = Checkpoint.parse(Note.parse(checkpoint).text)
        except VerificationError:
            self._checkpoint = None  # whoever verifies says so
        return Published(checkpoint, keys, origins)

    async def bundles(self, first: int, end: int) -> Sequence[Bundle]:
        """Ask for bundles and tiles of level 0, several at once."""
        tiles = [Tile(0, at // WIDTH, min(WIDTH, end - at)) for at in range(first, end, WIDTH)]
        paths = [path for tile in tiles for path in (tile.bundle_path, tile.path)]
        found = await asyncio.gather(*(self._get(f"/log/{path}") for path in paths))
        return [
            Bundle(tile.index * WIDTH, tile.width, entries, hashes)
            for tile, entries, hashes in zip(tiles, found[::2], found[1::2], strict=True)
        ]

    async def tile(self, tile: Tile) -> bytes | None:
        """Ask for a tile."""
        return await self._get(f"/log/{tile.path}")

    async def heads(self, after: int, to: int) -> AsyncGenerator[Head]:
        """Yield none: there is the checkpoint."""
        del after, to
        for none in ():
            yield none

    async def more(self, size: int, findings: Findings) -> None:
        """Ask for some proofs: of the first and the last entry, and of some in between that the root decides on."""
        known = self._checkpoint
        if known is None or known.size != size or not size:
            return
        if await self._get("/health/live") is None:
            self.checks = ()
            self.beyond = (*self.beyond, "proofs that are made when they are asked for: here there are files only")
            return
        chosen = {int.from_bytes(known.root[at : at + 4]) % size for at in range(0, 4 * PROOFS, 4)} | {0, size - 1}
        for position in sorted(chosen):
            await self._check_inclusion(position, known, findings)
        for first in sorted({size // 4, size // 2, size - 1, size} - {0}):
            await self._check_consistency(first, known, findings)

    async def _check_inclusion(self, position: int, known: Checkpoint, findings: Findings) -> None:
        entry = await self._get(f"/v1/log/entries/{position}")
        answer = await self._get(f"/v1/log/entries/{position}/proof?size={known.size}")
        try:
            proof = msgspec.json.decode(answer or b"", type=Inclusion)
            path = [hash_of(one) for one in proof.path]
            leaf = leaf_hash(entry or b"")
            verify_inclusion(leaf=leaf, index=position, size=known.size, root=known.root, path=path)
            if proof.root != base64_of(known.root):
                findings.add("proof-wrong", "its proof names another root", position=position)
        except (VerificationError, msgspec.MsgspecError, UnicodeError, RecursionError) as refused:
            findings.add("proof-wrong", f"its proof does not hold: {refused}", position=position)

    async def _check_consistency(self, first: int, known: Checkpoint, findings: Findings) -> None:
        answer = await self._get(f"/v1/log/consistency?from={first}&to={known.size}")
        try:
            proof = msgspec.json.decode(answer or b"", type=Consistency)
            root = hash_of(proof.from_root)
            path = [hash_of(one) for one in proof.path]
            verify_consistency(
                first_size=first, first_root=root, second_size=known.size, second_root=known.root, path=path
            )
            if root != await root_by_tiles(self, first, known.size):
                findings.add("proof-wrong", "the tiles give another root than the proof of it", size=first)
        except (VerificationError, msgspec.MsgspecError, UnicodeError, RecursionError) as refused:
            words = f"the proof that {known.size} entries extend these does not hold: {refused}"
            findings.add("proof-wrong", words, size=first)

    async def _get(self, path: str) -> bytes | None:
        """Return an answer's bytes; None if there is no such thing. Raises `Unreadable` for any other answer."""
        try:
            async with asyncio.timeout(LONGEST), self._client.stream("GET", path) as answer:
                content = bytearray()
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > MAX_ANSWER:
                        raise Unreadable(f"{self.name}{path}: the answer is too long.")
        except TimeoutError:
            raise Unreadable(f"{self.name}{path}: the answer does not end.") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreadable(f"{self.name} cannot be reached: {error or type(error).__name__}.") from None
        if answer.is_success:
            return bytes(content)
        if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.UNPROCESSABLE_ENTITY):
            return None
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise Unreadable(
                "The service wants a token with the role auditor (REGISTRY_TOKEN or --token-file): entries are read."
            )
        raise Unreadable(f"{self.name}{path} answers {answer.status_code}: {_why(bytes(content))}")


def _why(content: bytes) -> str:
    """Return what a service says, without what would move a terminal's cursor."""
    try:
        said = msgspec.json.decode(content, type=Problem).detail
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return "and does not say why."
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in said)
