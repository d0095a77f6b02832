"""What an evidence pack says of itself, in `evidence.json`: its form, for who makes packs and who verifies them.

Whether it is so, each finds out alone: `services.registry.verify` by what is in the pack, `verify.py` in the pack
without anything of the registry.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

VERIFIER: Final = "verify.py"
PAGE: Final = "README.html"
AIDS: Final = (PAGE, VERIFIER)
MISSING: Final = {"gone": "what the registry kept of it is gone", "damaged": "what the registry keeps of it is damaged"}
"""Why a document is not in a pack that should be, in words."""

Position = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Reason = Literal["gone", "damaged"]


class Document(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A document of the pack, one that was withdrawn, or one that the registry should have and cannot give."""

    sha256: Sha256
    source: str
    media_type: str
    withdrawn: bool
    missing: Reason | None = None


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest: in canonical form (RFC 8785), with entries in order and documents by source, hash and media type.

    `files` are the hashes of those that nothing else vouches for: `AIDS`, all of them.
    """

    cooperation: str
    size: Position
    origin: str
    entries: tuple[Position, ...]
    documents: tuple[Document, ...]
    files: dict[str, Sha256]
