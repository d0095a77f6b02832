"""Proofs over HTTP: that an entry is in the log, and that the log of today is that of yesterday with entries appended.

A proof is for the published checkpoint unless a size is asked for. As text/plain, an inclusion proof is a file
(C2SP tlog-proof) that is checked with nothing but the entry and the log's key.
"""

from __future__ import annotations

import msgspec
from litestar import MediaType, Response, get

from events.entry import leaf_hash
from events.errors import FieldProblem, InvalidField, NotFound
from events.log.checkpoints import Signed
from events.merkle.checkpoint import ProofFile, base64_of
from services.registry.access.roles import AUDIT
from services.registry.api import forms, log_query, parameters, replies
from services.registry.api.given import invalid
from services.registry.api.query import Asking
from services.registry.parts import Parts
from services.registry.signing.signer import NotSigned

TEXT = MediaType.TEXT.value


class Inclusion(msgspec.Struct, frozen=True):
    """Proof that a leaf is in the tree of a size (RFC 9162, 2.1.3); hashes in base64.

    `checkpoint` is the signed note over that very size, where there is one.
    """

    position: int
    size: int
    leaf: str
    root: str
    path: tuple[str, ...]
    checkpoint: str | None


class Consistency(msgspec.Struct, frozen=True, rename={"first": "from", "second": "to"}):
    """Proof that a tree extends another (RFC 9162, 2.1.4); hashes in base64. Of the empty tree there is none."""

    first: int
    second: int
    from_root: str
    to_root: str
    path: tuple[str, ...]


@get("/v1/log/entries/{position:str}/proof", opt=AUDIT, name="prove-entry")
async def prove_entry(request: Asking) -> Response[bytes]:
    """Proof that an entry is in the log: as JSON, or as a proof file (`Accept: text/plain`)."""
    parts: Parts = request.app.state.parts
    asked = log_query.of_proof(request)
    position = await _position(request)
    size, signed = await _size(parts, asked, position + 1, "size")
    entry = (await parts.log.read_all(position, 1))[0]
    path = await parts.tree.inclusion(position, size)
    if forms.wanted(request, TEXT) == TEXT:
        if signed is None:
            problem = FieldProblem("no checkpoint was published over this size", parameter="size")
            raise InvalidField("A proof file has a checkpoint in it, and there is none of this size.", [problem])
        written = ProofFile(position, tuple(path), signed.note.encode()).encode()
        answer = replies.answer(request, written, size, media_type=TEXT)
        answer.headers["Content-Disposition"] = f'attachment; filename="{position}.tlog-proof"'
        return answer
    proof = Inclusion(
        position=position,
        size=size,
        leaf=base64_of(leaf_hash(entry.bytes)),
        root=base64_of(await parts.tree.root(size)),
        path=tuple(base64_of(one) for one in path),
        checkpoint=signed.note.encode().decode() if signed else None,
    )
    return replies.answer(request, msgspec.json.encode(proof), size)


@get("/v1/log/consistency", opt=AUDIT, name="prove-consistency")
async def prove_consistency(request: Asking) -> Response[bytes]:
    """Proof that the log at one size is the log at another with entries appended."""
    parts: Parts = request.app.state.parts
    first, to = log_query.of_consistency(request)
    head = (await parts.log.head()).size
    sizes = {"from": first, "to": to or 0}
    if beyond := [name for name, size in sizes.items() if size > head]:
        raise invalid(FieldProblem(f"the log has {head} entries", parameter=name) for name in beyond)
    second, _ = await _size(parts, to, first, "to")
    proof = Consistency(
        first=first,
        second=second,
        from_root=base64_of(await parts.tree.root(first)),
        to_root=base64_of(await parts.tree.root(second)),
        path=tuple(base64_of(one) for one in (await parts.tree.consistency(first, second) if first else ())),
    )
    return replies.answer(request, msgspec.json.encode(proof), second)


async def _position(request: Asking) -> int:
    parts: Parts = request.app.state.parts
    position: str = request.path_params["position"]
    if not parameters.POSITION.fullmatch(position) or int(position) >= (await parts.log.head()).size:
        raise NotFound("The log has no such entry.", [FieldProblem("there is no entry here", parameter="position")])
    return int(position)


async def _size(parts: Parts, asked: int | None, least: int, name: str) -> tuple[int, Signed | None]:
    """Return the size that a proof is for, and the checkpoint over it if one could be published.

    Raises `InvalidField` for a size that the log does not have, `NotSigned` while the published checkpoint has not
    come so far.
    """
    if asked is None:
        signed = await parts.publication.checkpoint()
        if signed.checkpoint.size < least:
            raise NotSigned(
                f"The published checkpoint has {signed.checkpoint.size} entries, not yet {least}. Try again soon."
            )
        return signed.checkpoint.size, signed
    head = (await parts.log.head()).size
    if not least <= asked <= head:
        raise invalid([FieldProblem(f"expected a size from {least} to {head}", parameter=name)])
    return asked, await parts.publication.at(asked)


HANDLERS = [prove_entry, prove_consistency]
