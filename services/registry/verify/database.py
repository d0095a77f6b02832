"""The database itself: beside the log, the copies that indexes are made of, the head, stored tiles, old checkpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Final, Self

import asyncpg

from events import sql
from events.errors import Corrupt
from events.log.checkpoints import Checkpoints
from events.log.read import Pool, reachable
from events.log.tree import Tree
from events.merkle import VerificationError
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import Signature
from events.merkle.tiles import WIDTH, Tile, hashes_of
from events.merkle.tree import Frontier, root_of
from events.vault import Lack, Vault, document_owner
from services.registry.filing import SHA256
from services.registry.media import told_by_content
from services.registry.signing.keyring import KeyRing, KeyRingUnusable
from services.registry.signing.published import encode_origins, origins
from services.registry.signing.signer import current_origin
from services.registry.verify.chunk import Bundle, Columns
from services.registry.verify.claims import CLAIMING, stated
from services.registry.verify.findings import Finding, Findings
from services.registry.verify.source import Head, Published, Unreadable

PAGE: Final = 64  # upper tiles
CLAIMS: Final = 100  # that are looked at together, with all entries of their commands
KEYS: Final = 1000  # that are opened together
DOCUMENTS: Final = 1000  # that are listed together
DOCUMENT: Final = document_owner("")
LACKING: Final = {
    Lack.GONE: "it is not there, and was not withdrawn",
    Lack.DAMAGED: "it cannot be opened, or its SHA-256 is another",
}

_queries: Final = sql.load("services.registry.verify", "database.sql")
_HEAD: Final = _queries["head"]
_ENTRIES: Final = _queries["entries"]
_LAST_OF: Final = _queries["last_of"]
_TILES: Final = _queries["tiles"]
_UPPER_TILES: Final = _queries["upper_tiles"]
_TILES_BEYOND: Final = _queries["tiles_beyond"]
_INTEGRATED: Final = _queries["integrated"]
_TILES_MISSING: Final = _queries["tiles_missing"]
_HEADS: Final = _queries["heads"]
_STRAY_HEADS: Final = _queries["stray_heads"]
_KEYS: Final = _queries["keys"]
_OWNERS: Final = _queries["owners"]
_DOCUMENTS: Final = _queries["documents"]
_MISSING_CLAIMS: Final = _queries["missing_claims"]
_CLAIMS: Final = _queries["claims"]
_CLAIMING_ENTRIES: Final = _queries["claiming"]

HEADS_READ: Final = 1_000  # at a time


class Database:
    """The log as its tables have it, over a pool that somebody else closes. `origin` is the one of the settings."""

    name = "the database"
    complete = False
    events = True

    def __init__(self, pool: Pool, origin: str, vault: Vault | None = None, ring: KeyRing | None = None) -> None:
        """Take a vault to have documents opened and held against their hashes.

        And a key ring, to hold the log against the checkpoint that it remembers, which is stored as well.
        """
        self.checks: Sequence[str] = (
            "the columns beside every entry, the head, claims, stored tiles",
            "every checkpoint that was stored",
            *(
                ["every key in the vault", "every document that there is a key of, and the columns beside it"]
                if vault
                else []
            ),
        )
        self.beyond: Sequence[str] = (
            "read models: `registry rebuild --check` holds them against the log",
            "what is sealed of people: it is held against its seal whenever it is read",
            "when checkpoints were signed, and the words that people are found by: nothing else says them",
            "that documents whose keys are gone were withdrawn, or erased"
            if vault
            else "documents: that needs the master key (REGISTRY_MASTER_KEY_FILE), as do keys in the vault",
        )
        self._vault = vault
        self._ring = ring
        self._remembered: Checkpoint | None = None
        self._pool = pool
        self._settings_origin = origin
        self._tree = Tree(pool)
        self._checkpoints = Checkpoints(pool)
        self._findings = Findings()
        self._head: asyncpg.Record | None = None
        self._before: asyncpg.Record | None = None  # the entry ahead

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None, /
    ) -> None:
        """End."""

    async def published(self) -> Published:
        """Read the head, the last checkpoint, keys and names, and before them what the key ring remembers."""
        remembered, unread = self._of_ring()
        with reachable():
            row = await self._pool.fetchrow(_HEAD)
            keys = await self._pool.fetch(_KEYS)
        if row is None or row["size"] is None:
            raise Unreadable("The log has no head: its row in log.head is gone.")
        self._head = row
        size = row["size"]
        if row["heads"] > 1:
            self._findings.add("head-differs", f"there are {row['heads']} heads, not one", size=size)
        if row["first"] is not None and row["first"] < 0:
            self._findings.add("entry-beyond", "there is an entry before the first position", position=row["first"])
        if row["last"] is not None and row["last"] >= size:
            words = f"there is an entry, and the head says that there are {size} only"
            self._findings.add("entry-beyond", words, position=row["last"])
        origin = await current_origin(self._checkpoints, self._settings_origin)
        latest = await self._checkpoints.latest(origin)
        if row["standby"] and remembered:
            unread = "a standby may be behind it"
        if unread:
            self.beyond = (*self.beyond, f"the checkpoint that the key ring remembers: {unread}")
        elif remembered and remembered[0].origin == origin:
            self._remembered = remembered[0]
        return Published(
            checkpoint=latest.note.encode() if latest else None,
            keys="".join(f"{key['key']}\n" for key in keys).encode(),
            origins=encode_origins(await origins(self._checkpoints, origin)),
            size=size,
            frontier=self._frontier(row),
            origin=origin,
            remembered=remembered[1] if self._remembered and remembered else None,
        )

    def _of_ring(self) -> tuple[tuple[Checkpoint, bytes] | None, str]:
        """Return the checkpoint that the key ring remembers, or why it cannot be read."""
        try:
            return (self._ring.remembered() if self._ring else None), ""
        except KeyRingUnusable as refused:
            return None, refused.detail

    def _frontier(self, row: asyncpg.Record) -> Frontier | None:
        try:
            return Frontier(row["size"], tuple(one or b"" for one in row["frontier"]))
        except ValueError as refused:
            self._findings.add("head-differs", f"the head contradicts itself: {refused}", size=row["size"])
            return None

    async def bundles(self, first: int, end: int) -> Sequence[Bundle]:
        """Read entries with their columns, and the tiles of level 0 that are stored."""
        with reachable():
            rows = await self._pool.fetch(_ENTRIES, first, end)
            stored = await self._pool.fetch(_TILES, first // WIDTH, end // WIDTH)
        await self._check_ordinals(first, rows)
        await self._check_claims(rows)
        tiles = {tile["index"]: tile for tile in stored}
        found = {row["position"]: row for row in rows}
        for position, times in Counter(row["position"] for row in rows).items() if len(found) < len(rows) else ():
            if times > 1:
                self._findings.add("entry-twice", f"the entry is there {times} times", position=position)
        bundles: list[Bundle] = []
        for at in range(first, end, WIDTH):
            here = [found.get(position) for position in range(at, min(at + WIDTH, end))]
            tile = tiles.get(at // WIDTH)
            bundles.append(
                Bundle(
                    at,
                    len(here),
                    None,
                    tile["hashes"] if tile else None,
                    tuple(None if row is None else row["bytes"] for row in here),
                    tile["root"] if tile else None,
                    tuple(None if row is None else _columns(row) for row in here),
                )
            )
        return bundles

    async def _check_claims(self, rows: Sequence[asyncpg.Record]) -> None:
        """Check that what entries claim is claimed: by the command that is told, or by another before it."""
        said = [(*one, row["position"]) for row in rows if row["type"] in CLAIMING for one in stated(row["bytes"])]
        if not said:
            return
        with reachable():
            missing = await self._pool.fetch(_MISSING_CLAIMS, *map(list, zip(*said, strict=True)))
        for row in missing:
            words = f"what the entry claims ({row['scope']}) is not claimed, and could be taken again"
            self._findings.add("claim-missing", words, position=row["position"])

    async def _check_ordinals(self, first: int, rows: Sequence[asyncpg.Record]) -> None:
        """Check the column that only the database has: the number of an entry in its command."""
        before = self._before
        if before is None and first:
            with reachable():
                before = await self._pool.fetchrow(_LAST_OF, first - 1)
        for row in rows:
            gap = row["position"] > 0 if before is None else row["position"] > before["position"] + 1
            goes_on = before is not None and row["command_id"] == before["command_id"]
            expected = before["ordinal"] + 1 if before is not None and goes_on else 0
            if row["ordinal"] != expected and not gap:  # behind an entry that is missing nothing is expected
                words = f"the column ordinal says {row['ordinal']}, and it is number {expected} of its command"
                self._findings.add("column-altered", words, position=row["position"])
            before = row
        self._before = before

    async def tile(self, tile: Tile) -> bytes | None:
        """Read a tile, or make it of what is stored below it."""
        try:
            return await self._tree.tile(tile)
        except Corrupt:
            return None  # the entries that are missing have been found

    async def heads(self, after: int, to: int) -> AsyncGenerator[Head]:
        """Read the checkpoints over so many entries, of which there may be any number."""
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction(readonly=True):
                async for row in connection.cursor(_HEADS, after, to, prefetch=HEADS_READ):
                    yield _head(row)

    async def more(self, size: int, findings: Findings) -> None:
        """Check the head's time, upper tiles, tiles beyond the log or not there, and that commands make the claims."""
        findings.take(self._findings)
        with reachable():
            last = await self._pool.fetchrow(_LAST_OF, size - 1) if size else None
            beyond = await self._pool.fetch(_TILES_BEYOND, size)
            stray = await self._pool.fetch(_STRAY_HEADS)
        if self._head is not None and self._head["last_recorded_at"] != (last["recorded_at"] if last else None):
            findings.add("head-differs", "the head has another time than the last entry", size=size)
        for row in beyond:
            if min(row["level"], row["index"]) < 0:
                words = f"there is a tile {row['index']} of level {row['level']}, which no log has"
                findings.add("tile-altered", words)
                continue
            path = Tile(row["level"], row["index"]).path.removeprefix("tile/")
            findings.note(Finding("tile-altered", "the log is too small for it", tile=path))
        for row in stray:
            findings.add("checkpoint-stray", row["found"], size=row["size"])
        await self._check_remembered(size, findings)
        await self._check_stray_claims(findings)
        await self._check_upper_tiles(findings)
        await self._check_missing_tiles(size, findings)
        if self._vault is not None:
            await self._check_keys(self._vault, findings)
            await self._check_documents(self._vault, findings)

    async def _check_remembered(self, size: int, findings: Findings) -> None:
        """Check that the checkpoint which the key ring remembers, or one over more entries, is stored."""
        known = self._remembered
        if known is None or known.size > size:  # that there are fewer entries has been found
            return
        async with self._checkpoints.signing():  # whoever signs lets the ring remember it first
            stored = await self._checkpoints.covering(known.origin, known.size)
        if stored is None:
            words = (
                "the key ring remembers that this checkpoint was signed, and neither it nor one over more entries is "
                "stored: it was deleted, or whoever signed it was stopped before it was stored"
            )
            findings.add("checkpoint-missing", words, size=known.size)

    async def _check_stray_claims(self, findings: Findings) -> None:
        """Check that every claim is one that the command which it rests on makes: others would be kept from theirs."""
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction(readonly=True):
                claims = await connection.cursor(_CLAIMS)
                while rows := await claims.fetch(CLAIMS):
                    made: dict[int, set[tuple[str, str]]] = {}
                    begun = list({row["position"] for row in rows})
                    for entry in await connection.fetch(_CLAIMING_ENTRIES, begun, list(CLAIMING)):
                        made.setdefault(entry["begins"], set()).update(stated(entry["bytes"] or b""))
                    for row in rows:
                        if (row["scope"], row["value"]) not in made.get(row["position"], ()):
                            begins = row["position"] in made
                            why = "whose command does not make it" if begins else "where no command begins"
                            words = f"a claim ({row['scope']}) rests on this position, {why}"
                            findings.add("claim-stray", words, position=row["position"])

    async def _check_missing_tiles(self, size: int, findings: Findings) -> None:
        """Check that full tiles are stored: of those that are missing every proof would be made anew, and slowly."""
        with reachable():
            count, level = await self._pool.fetchval(_INTEGRATED, size), 0
            while count:
                for row in await self._pool.fetch(_TILES_MISSING, level, count):
                    path = Tile(level, row["index"]).path.removeprefix("tile/")
                    findings.note(Finding("tile-missing", "it is not there", tile=path))
                count, level = count // WIDTH, level + 1

    async def _check_keys(self, vault: Vault, findings: Findings) -> None:
        """Open every key: what is sealed under one that cannot be opened is lost, and was not erased."""
        after, page = "", KEYS
        while page == KEYS:
            with reachable():
                owners = [row["owner"] for row in await self._pool.fetch(_OWNERS, after, KEYS)]
                keys = await vault.keys(owners)
            for owner in owners:
                if keys.get(owner) is Lack.DAMAGED:
                    findings.note(Finding("key-damaged", "it cannot be opened", file=f"keys/{owner}"))
            after, page = owners[-1] if owners else after, len(owners)

    async def _check_documents(self, vault: Vault, findings: Findings) -> None:
        """Open every document that has a key, and hold it against its hash; without one it is withdrawn, or erased."""
        after = DOCUMENT
        while True:
            with reachable():
                rows = await self._pool.fetch(_DOCUMENTS, after, DOCUMENTS)
                stated = {row["owner"].removeprefix(DOCUMENT): row for row in rows}
                for name in [name for name in stated if not SHA256.fullmatch(name)]:
                    words = "there is a key of it, and its name is no SHA-256"
                    findings.note(Finding("document-stray", words, file=f"documents/{name}"))
                    del stated[name]
                async for sha256, held in vault.each({name: row["size"] or 0 for name, row in stated.items()}):
                    _check_document(sha256, held, stated[sha256], findings)
            if len(rows) < DOCUMENTS:
                return
            after = rows[-1]["owner"]

    async def _check_upper_tiles(self, findings: Findings) -> None:
        level, index = 0, 2**62
        while True:
            with reachable():
                rows = await self._pool.fetch(_UPPER_TILES, level, index, PAGE)
            for row in rows:
                level, index = row["level"], row["index"]
                if _root(row["hashes"]) != row["root"]:
                    path = Tile(level, index).path.removeprefix("tile/")
                    findings.note(Finding("tile-altered", "its root is not that of its hashes", tile=path))
            if len(rows) < PAGE:
                return


def _check_document(sha256: str, held: bytes | Lack, row: asyncpg.Record, findings: Findings) -> None:
    """Check that a document is there, and that the columns beside it are as its content tells."""
    file = f"documents/{sha256}"
    if isinstance(held, Lack):
        if held in LACKING:
            findings.note(Finding(f"document-{held}", LACKING[held], file=file))
        return
    media_type, characters, _ = told_by_content(held)
    told = {"media_type": media_type, "size": len(held), "characters": characters}
    for name, value in told.items():
        if row[name] != value:
            words = f"the column {name} says {row[name]}, and by its content it is {value}"
            findings.note(Finding("column-altered", words, file=file))


def _root(hashes: bytes) -> bytes:
    try:
        return root_of(hashes_of(hashes))
    except VerificationError:
        return b""


def _columns(row: asyncpg.Record) -> Columns:
    return (
        row["stream"],
        row["revision"],
        row["id"],
        row["type"],
        row["classification"],
        row["recorded_at"],
        row["command_id"],
        row["leaf"],
    )


def _head(row: asyncpg.Record) -> Head:
    signatures = zip(row["names"], row["key_ids"], row["blobs"], strict=True)
    signed = tuple(Signature(*one) for one in signatures if one[0] is not None)
    return Head(row["origin"], row["size"], row["root"], signed)
