"""A zip archive that is sent while it is made: in memory is the file that was added last, and nothing lies on disk.

The same files in the same order give the same bytes: nothing is compressed (the bytes would depend on the library) and
no clock is read.
"""

from __future__ import annotations

import io
import zipfile
from typing import Final

_TIME: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that the format can say
_UNIX: Final = 3
_MODE: Final = 0o100644


class Zip:
    """The archive: files are added, and what is made of them is taken."""

    def __init__(self) -> None:
        self._tail = _Tail()
        self._archive = zipfile.ZipFile(self._tail, "w", zipfile.ZIP_STORED)

    def add(self, name: str, content: bytes) -> None:
        """Add a file, whole."""
        info = zipfile.ZipInfo(name, _TIME)
        info.create_system, info.external_attr = _UNIX, _MODE << 16
        self._archive.writestr(info, content)

    def take(self) -> bytes:
        """Return what was made since the last time."""
        return self._tail.take()

    def close(self) -> bytes:
        """Return the rest; nothing can be added after it."""
        self._archive.close()
        return self._tail.take()


class _Tail(io.RawIOBase):
    """The end of a file whose beginning has been sent: positions are those in the file as a whole.

    zipfile goes back to complete the header of the file that it wrote last, and never further.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sent = 0
        self._kept = io.BytesIO()

    def take(self) -> bytes:
        content = self._kept.getvalue()
        self._sent += len(content)
        self._kept = io.BytesIO()
        return content

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, content: object, /) -> int:
        return self._kept.write(bytes(content))  # type: ignore[call-overload]

    def tell(self) -> int:
        return self._sent + self._kept.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence != io.SEEK_SET or offset < self._sent:
            raise io.UnsupportedOperation("what was sent cannot be gone back to")
        return self._sent + self._kept.seek(offset - self._sent)
