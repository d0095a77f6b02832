"""What a verification comes to."""

from __future__ import annotations

import msgspec

from services.registry.verify.findings import Finding


class KeySeen(msgspec.Struct, frozen=True):
    """A verifier key: whether the caller gave it, and whether it signed the checkpoint."""

    key: str
    given: bool
    signed: bool


class Report(msgspec.Struct, frozen=True):
    """The result; `registry verify --json` prints it.

    `size` and `root` (base64) are those of the tree that was worked out; `began` is the position that a resumed
    verification went on from; `checkpoints` how many signed tree heads were held against it. `found` counts what is
    wrong; `findings` has the first of it.
    """

    source: str
    verified: bool
    origin: str | None = None
    size: int | None = None
    root: str | None = None
    began: int = 0
    keys: tuple[KeySeen, ...] = ()
    checkpoints: int = 0
    checked: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    found: int = 0
    findings: tuple[Finding, ...] = ()
