"""Evidence packs over HTTP: a zip archive that is sent while it is made.

Who gets one is on record before anything of it leaves.
"""

from __future__ import annotations

from litestar import get
from litestar.response import Stream

from services.registry.access.actions import Action
from services.registry.access.record import Looked, record, runs
from services.registry.access.roles import AUDIT
from services.registry.api import looking, query, sending
from services.registry.api.query import Asking
from services.registry.evidence.contents import gather, opening
from services.registry.evidence.pack import Packer
from services.registry.parts import Parts
from services.registry.signing.signer import NotSigned

ZIP = "application/zip"


@get("/v1/cooperations/{id:str}/evidence", opt=AUDIT, name="get-evidence")
async def get_evidence(request: Asking) -> Stream:
    """What the registry has of a cooperation, as of the published checkpoint, and all that it takes to check it."""
    parts: Parts = request.app.state.parts
    query.nothing(request)
    cooperation: str = request.path_params["id"]
    begins = await opening(parts.log, cooperation)
    signed = await parts.publication.checkpoint()
    size = signed.checkpoint.size
    if begins >= size:
        raise NotSigned(f"The published checkpoint has {size} entries, not yet {begins + 1}. Try again soon.")
    contents = await gather(parts.log, parts.vault, cooperation, size)
    if contents.unproved and (await parts.log.head()).size > size:
        raise NotSigned(
            f"The published checkpoint has {size} entries, and not yet why a document is gone. Try again soon."
        )
    detail = {"subject": f"cooperation/{cooperation}", "size": size, "positions": runs(contents.above)}
    await record(parts.pool, Looked(looking.who(request), Action.EVIDENCE_PACK, detail))
    pack = Packer(parts.log, parts.tree, parts.vault).pack(contents, signed, await parts.publication.keys())
    headers = {
        "Content-Disposition": f'attachment; filename="evidence-{cooperation}-{size}.zip"',
        "Cache-Control": "private, no-store",
        "Registry-Size": str(size),
    }
    return Stream(sending.streamed(request, pack), media_type=ZIP, headers=headers)


HANDLERS = [get_evidence]
