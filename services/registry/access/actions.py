"""What the access record knows: what was looked at, or done with tokens and keys."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """What is recorded. The texts are the contract: they stand in rows that are never changed."""

    READ_ENTRIES = "read-entries"  # a page of the log's entries
    READ_ENTRY = "read-entry"
    STREAM_ENTRIES = "stream-entries"  # a part of a stream of lines: a row for each part that was sent
    READ_BUNDLE = "read-bundle"
    EXPORT_LOG = "export-log"
    REPLAY_LOG = "replay-log"  # on the console, or into another database
    EVIDENCE_PACK = "evidence-pack"
    CREATE_TOKEN = "create-token"  # noqa: S105 - a word, and no token
    REVOKE_TOKEN = "revoke-token"  # noqa: S105
    CREATE_KEY = "create-key"
    ROTATE_KEY = "rotate-key"
    ROTATE_MASTER_KEY = "rotate-master-key"
    ADOPT_LOG = "adopt-log"
