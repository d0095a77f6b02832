"""Files that are there whole or not at all, and that a power cut does not take back.

A file is written under another name, synced, and moved into its place. That move is durable when the folder is synced
too, by `sync_folder` or by whoever syncs several at once. Every function raises OSError; of a write that failed nothing
is left.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

UNFINISHED: Final = ".unfinished"
"""How names of files end that are not in their place yet; they begin with a dot."""

OWNERS: Final = 0o600
"""The mode of what only its owner may read."""


def replace(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Put a file in its place, its content durable by then. Its name is durable when its folder is synced."""
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        descriptor = os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            if mode == OWNERS:
                os.fchmod(descriptor, mode)  # where an earlier attempt left it with another
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make durable which files are in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
