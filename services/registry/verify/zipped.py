"""The files of a zip archive that anybody may have made: what cannot be read, or is too much, is a finding."""

from __future__ import annotations

import codecs
import hashlib
import lzma
import os
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from services.registry.verify.findings import Finding, Findings
from services.registry.verify.source import Unreadable

_BLOCK: Final = 1024**2
_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22  # of the end record without a comment, whose length is in the last two
_BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,  # a password, or a way of packing that it does not know
    ValueError,
    OverflowError,
    OSError,
)
"""What a zip that is not in order makes `zipfile` raise."""


class Measured(msgspec.Struct, frozen=True):
    """What a file is, without its content: its SHA-256, and its code points if it is UTF-8."""

    sha256: str
    characters: int | None


def opened(path: Path) -> zipfile.ZipFile:
    """Open an archive. Raises `Unreadable` for what is none."""
    try:
        return zipfile.ZipFile(path)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror or error}.") from None
    except _BROKEN:
        raise Unreadable(f"{path} is no evidence pack: it is no zip file, or a damaged one.") from None


class Zipped:
    """An archive's files by name; `names` has how many there are of each."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, findings: Findings) -> None:
        self.names = Counter(archive.namelist())
        self._path = path
        self._archive = archive
        self._findings = findings
        self._is_read = False

    def check(self) -> None:
        """Find names that stand for several files, and what is ahead of the first file or behind the end."""
        for name, times in self.names.items():
            if times > 1:
                self._wrong(name, "it is in the pack more than once")
        if ahead := min((one.header_offset for one in self._archive.infolist()), default=0):
            self._wrong(self._path.name, f"there are {ahead} bytes ahead of the first file in it")
        with self._path.open("rb") as file:
            file.seek(-_END_BYTES, os.SEEK_END)
            end = file.read()
        if not end.startswith(_END) or any(end[-2:]):
            self._wrong(self._path.name, "there is something behind its end, or a comment in that")

    def read(self, name: str, most: int) -> bytes | None:
        """Return a file; None, and a finding, if it is not there, cannot be read or has more than so many bytes."""
        content = b"".join(self._blocks(name, most))
        return content if self._is_read else None

    def measure(self, name: str, most: int) -> Measured | None:
        """Return what a file is, a block in memory at a time; None as of `read`."""
        digest, characters = hashlib.sha256(), _Characters()
        for block in self._blocks(name, most):
            digest.update(block)
            characters.add(block)
        return Measured(digest.hexdigest(), characters.count()) if self._is_read else None

    def _wrong(self, name: str, words: str, code: str = "pack-malformed") -> None:
        self._findings.note(Finding(code, words, file=name))

    def _blocks(self, name: str, most: int) -> Iterator[bytes]:
        """Yield a file's content, and say in `_is_read` whether that was all of it."""
        self._is_read = False
        if name not in self.names:
            self._wrong(name, "it is not in the pack", "file-missing")
            return
        length = 0
        try:
            with self._archive.open(name) as file:
                while block := file.read(_BLOCK):
                    length += len(block)
                    if length > most:
                        self._wrong(name, f"it has more than {most} bytes")
                        return
                    yield block
        except _BROKEN as error:
            self._wrong(name, f"it cannot be read: {error or type(error).__name__}")
            return
        self._is_read = True


class _Characters:
    """Counts the code points of UTF-8 that comes in blocks."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._count: int | None = 0

    def add(self, block: bytes, *, final: bool = False) -> None:
        if self._count is not None:
            try:
                self._count += len(self._decoder.decode(block, final))
            except UnicodeDecodeError:
                self._count = None

    def count(self) -> int | None:
        self.add(b"", final=True)
        return self._count
