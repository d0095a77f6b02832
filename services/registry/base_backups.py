"""What whoever takes base backups tells of them, in the file that REGISTRY_BACKUP_STATUS_FILE names (ADR 0035)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """When the newest base backup ended that can be restored, and when an attempt failed, if none has ended since.

    `hours` is how often one is to be taken. What else is in the file is passed over.
    """

    finished: Moment | None = None
    failed: Moment | None = None
    hours: Annotated[float, msgspec.Meta(gt=0)] = 24.0


class Untold(Exception):
    """The file is not there, or is not in the form of `Status`; the text says which."""


def read(path: Path) -> Status:
    """Read what the file tells. Raises `Untold`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Status)
    except OSError as error:
        raise Untold(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise Untold(f"{path} is not as it has to be: {error}") from error
