"""The log as C2SP tlog-tiles serves it: checkpoint, keys, tiles of hashes, and bundles of entries.

Checkpoint, keys and tiles say nothing of content (every entry holds a random id) and are open to all; bundles are the
entries. What is served at an address never changes, but for checkpoint, keys and origins, once it was signed.
"""

from __future__ import annotations

from collections.abc import Iterator

from litestar import Response, get

from events.errors import FieldProblem, NotFound
from events.merkle.tiles import ENTRIES, WIDTH, Tile, TileError, encode_bundle, parse_path, width_at
from services.registry.access.actions import Action
from services.registry.access.roles import AUDIT, OPEN
from services.registry.api import looking, query, replies
from services.registry.api.query import Asking
from services.registry.parts import Parts
from services.registry.signing import published

TEXT = "text/plain"
BYTES = "application/octet-stream"
NEW = "no-cache"  # what no checkpoint is over yet may be taken back by a failover (ADR 0029)
IMMUTABLE = "max-age=604800, immutable"


@get("/log/checkpoint", opt=OPEN, name="get-checkpoint")
async def get_checkpoint(request: Asking) -> Response[bytes]:
    """The signed tree head (C2SP tlog-checkpoint), with the witnesses' cosignatures."""
    parts: Parts = request.app.state.parts
    query.nothing(request)
    signed = await parts.publication.checkpoint()
    return _served(request, signed.note.encode(), TEXT, signed.checkpoint.size, NEW)


@get("/log/keys", opt=OPEN, name="get-keys")
async def get_keys(request: Asking) -> Response[bytes]:
    """The keys that checkpoints verify with (C2SP signed-note), one a line, the current one first."""
    parts: Parts = request.app.state.parts
    query.nothing(request)
    keys = published.encode_keys(await parts.publication.keys())
    return _served(request, keys, TEXT, (await parts.log.head()).size, NEW)


@get("/log/origins", opt=OPEN, name="get-origins")
async def get_origins(request: Asking) -> Response[bytes]:
    """The name that checkpoints are signed under, and what it took the place of, and why."""
    parts: Parts = request.app.state.parts
    query.nothing(request)
    names = await published.origins(parts.checkpoints, await parts.publication.origin())
    return _served(request, published.encode_origins(names), replies.JSON, (await parts.log.head()).size, NEW)


@get("/log/tile/{level:str}/{place:path}", opt=OPEN, name="get-tile")
async def get_tile(request: Asking) -> Response[bytes]:
    """A tile of hashes, full or as wide as the tree was at some size."""
    parts: Parts = request.app.state.parts
    tile, size = await _tile(request, str(request.path_params["level"]))
    return _served(request, await parts.tree.tile(tile), BYTES, size, f"public, {await _caching(parts, tile)}")


@get("/log/tile/entries/{place:path}", opt=AUDIT, name="get-bundle")
async def get_bundle(request: Asking) -> Response[bytes]:
    """The entries whose leaves a tile of level 0 has; who gets them is recorded first."""
    parts: Parts = request.app.state.parts
    tile, size = await _tile(request, ENTRIES)
    entries = await parts.tree.bundle(tile)
    await looking.record_entries(request, Action.READ_BUNDLE, enumerate(entries, start=tile.index * WIDTH))
    return _served(request, encode_bundle(entries), BYTES, size, f"private, {await _caching(parts, tile)}")


async def _caching(parts: Parts, tile: Tile) -> str:
    """Say how long what is under a tile holds: for good, as soon as all of it was signed."""
    end = (tile.index * WIDTH + tile.width) * WIDTH**tile.level
    return IMMUTABLE if await parts.publication.signed(end) else NEW


def _served(request: Asking, body: bytes, media_type: str, size: int, caching: str) -> Response[bytes]:
    """Answer with bytes, or that the client has them already."""
    tag = replies.tag_of(body)
    headers = {"ETag": tag, "Cache-Control": caching, "Registry-Size": str(size)}
    return replies.unchanged(request, tag, headers) or Response(body, media_type=media_type, headers=headers)


async def _tile(request: Asking, level: str) -> tuple[Tile, int]:
    """Return the tile that is asked for and the log's size. Raises `NotFound` for one that the log does not have."""
    parts: Parts = request.app.state.parts
    query.nothing(request)
    place = str(request.path_params["place"]).removeprefix("/")
    try:
        tile = parse_path(level, place)
    except TileError as refused:
        raise NotFound(f"There is no such tile: {refused}.", _refused(level, place)) from None
    size = (await parts.log.head()).size
    if tile.width > (width := width_at(size, tile.level, tile.index)):
        says = f"has {width} hashes now" if width else "is beyond the log's end"
        raise NotFound("The log has no such tile yet.", [FieldProblem(says, parameter="place")])
    return tile, size


def _refused(level: str, place: str) -> Iterator[FieldProblem]:
    """Say which parts of an address are none: each is tried beside one that is."""
    for parameter, parts in (("level", (level, "000")), ("place", (ENTRIES, place))):
        try:
            parse_path(*parts)
        except TileError as refused:
            yield FieldProblem(str(refused), parameter=parameter)


HANDLERS = [get_checkpoint, get_keys, get_origins, get_bundle, get_tile]
