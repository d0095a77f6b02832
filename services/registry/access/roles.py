"""The roles of the HTTP contract, and which of them open a route.

A route says what it needs in its Litestar `opt`: one of the constants below, or `OPEN`. A route that says neither
stops the start (`gate.check`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final


class Role(StrEnum):
    """What a token may do; a token may have several roles."""

    READER = "reader"  # read models
    RECORDER = "recorder"  # commands and documents
    FOLLOWER = "follower"  # the log's entries and feeds
    AUDITOR = "auditor"  # what readers and followers may, and proofs, bundles, evidence, exports, the access record
    OPERATOR = "operator"  # tokens, keys, rebuilds, metrics; no content


def needs(*roles: Role) -> Mapping[str, Any]:
    """Make the `opt` of a route that any one of these roles opens."""
    return {"roles": frozenset(roles)}


OPEN: Final[Mapping[str, Any]] = {"open": True}
READ: Final = needs(Role.READER, Role.AUDITOR)
RECORD: Final = needs(Role.RECORDER)
FOLLOW: Final = needs(Role.FOLLOWER, Role.AUDITOR)
AUDIT: Final = needs(Role.AUDITOR)
OPERATE: Final = needs(Role.OPERATOR)
ANY: Final = needs(*Role)
"""What tells nothing of content, such as the schemas, but is not for strangers."""
