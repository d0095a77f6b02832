"""What has to be unique, or to follow, across the whole log, kept in files: memory does not grow with the log.

Three files that are only appended to: `ids` and `commands` with 16 bytes an entry, so that a position is an offset,
and `streams` with the streams of each chunk. They are held against each other at the end, in parts that fit in memory.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from services.registry.verify.chunk import KEY_BYTES, LENGTH, NO_KEY, Examined, Opened
from services.registry.verify.examine import revision_words
from services.registry.verify.findings import KEPT, Findings
from services.registry.verify.source import damaged

PART: Final = 1 << 18  # keys, or streams, that are held in memory at once: some 40 MB
_FILES: Final = ("ids", "commands", "streams")
_BLOCK: Final = 1 << 16  # keys that are read at once
_opened: Final = msgspec.msgpack.Decoder(list[Opened])

_KINDS: Final = (
    ("ids", "id-repeated", "the entry has the id of the entry at position {}"),
    ("commands", "command-apart", "the entry is of the same command as that at position {}, and does not stand by it"),
)


class Index:
    """The three files in a folder; what is beyond `lengths`, as an interrupted run leaves it, is cut off.

    Raises `Unreadable` where they are not what was taken down.
    """

    def __init__(self, folder: Path, lengths: tuple[int, ...] = (0, 0, 0)) -> None:
        self._folder = folder
        for name, length in zip(_FILES, lengths, strict=True):
            path = folder / name
            if length and (not path.is_file() or path.stat().st_size < length):
                raise damaged(path)
        self._files = [(folder / name).open("ab") for name in _FILES]
        for file, length in zip(self._files, lengths, strict=True):
            file.truncate(length)
            file.seek(length)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def add(self, examined: Examined, *, goes_on: bool) -> None:
        """Take down a chunk; `goes_on`: its first entry is of the command that the last one before it is of."""
        commands, first = examined.commands, examined.grown[0].first
        if goes_on and examined.first is not None:
            at = (examined.first.position - first) * KEY_BYTES
            commands = commands[:at] + NO_KEY + commands[at + KEY_BYTES :]
        streams = LENGTH.pack(len(examined.streams)) + examined.streams
        for file, content in zip(self._files, (examined.ids, commands, streams), strict=True):
            file.write(content)

    def lengths(self) -> tuple[int, ...]:
        """Return how long the files are; `sync` makes that durable."""
        return tuple(file.tell() for file in self._files)

    def sync(self) -> None:
        """Return when what was added is durable."""
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())

    def check(self, findings: Findings) -> None:
        """Find ids that stand twice, commands whose entries stand apart, and streams that do not go on as they must."""
        for file in self._files:
            file.flush()
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            for name, code, words in _KINDS:
                for first, again in _repeated(self._folder / name, Path(scratch)):
                    findings.add(code, words.format(first), position=again)
            for one, expected in _broken(self._folder / "streams", Path(scratch)):
                findings.add(
                    "revision-wrong", revision_words(one.stream, one.revision, expected), position=one.position
                )


def _repeated(path: Path, scratch: Path) -> Iterator[tuple[int, int]]:
    """Yield the positions of keys that stand twice: the first, and each further one."""
    count = path.stat().st_size // KEY_BYTES
    if count <= PART:
        if not _distinct(path.read_bytes()):
            yield from _repeated_among(*_all(path))
        return
    parts = -(-count // PART)
    for _, keys in _blocks(path):
        buckets: list[list[bytes]] = [[] for _ in range(parts)]
        for key in keys:
            buckets[hash(key) % parts].append(key)
        _empty((bytearray().join(bucket) for bucket in buckets), scratch)
    again: set[bytes] = set()
    for part in _parts(scratch):
        again |= _twice(part)
    if again:
        found = [
            (key, position) for begin, keys in _blocks(path) for position, key in enumerate(keys, begin) if key in again
        ]
        yield from _repeated_among([key for key, _ in found], [position for _, position in found])


def _twice(part: Path) -> set[bytes]:
    """Return keys that stand more than once in a part; some of them, if there are very many."""
    if _distinct(part.read_bytes()):
        return set()
    keys = [key for _, block in _blocks(part) for key in block]
    times = Counter(keys)
    del times[NO_KEY]
    return {key for key, count in times.most_common(KEPT) if count > 1}


def _distinct(content: bytes) -> bool:
    """Tell that no key stands twice, by its second half alone; False means that it has to be looked at in full.

    That half of a UUID is random and never zero, so a log in order is told at once, in a tenth of the time.
    """
    halves = memoryview(content).cast("Q")
    random = halves[1::2].tolist()
    blank = random.count(0)
    if blank and blank != sum(not one and not other for one, other in zip(halves[::2].tolist(), random, strict=True)):
        return False
    return len(set(random)) - bool(blank) == len(random) - blank


def _all(path: Path) -> tuple[list[bytes], Iterable[int]]:
    keys = [key for _, block in _blocks(path) for key in block]
    return keys, range(len(keys))


def _blocks(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Yield keys, many at once, and the position of the first of them."""
    position = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK * KEY_BYTES):
            keys = [block[at : at + KEY_BYTES] for at in range(0, len(block), KEY_BYTES)]
            yield position, keys
            position += len(keys)


def _repeated_among(keys: Sequence[bytes], positions: Iterable[int]) -> Iterator[tuple[int, int]]:
    first: dict[bytes, int] = {NO_KEY: -1}
    for key, position in zip(keys, positions, strict=True):
        if key != NO_KEY and (before := first.setdefault(key, position)) != position:
            yield before, position


def _broken(path: Path, scratch: Path) -> Iterator[tuple[Opened, int]]:
    """Yield the places at which a stream does not go on with the revision that it must, and that revision."""
    count = sum(len(chunk) for chunk in _chunks(path))
    if count <= PART:
        yield from _broken_among(one for chunk in _chunks(path) for one in chunk)
        return
    parts = -(-count // PART)
    for chunk in _chunks(path):
        buckets: list[list[Opened]] = [[] for _ in range(parts)]
        for one in chunk:
            buckets[hash(one.stream) % parts].append(one)
        encoded = [msgspec.msgpack.encode(bucket) for bucket in buckets]
        _empty([bytearray(LENGTH.pack(len(one)) + one) for one in encoded], scratch)
    for part in _parts(scratch):
        yield from _broken_among(one for chunk in _chunks(part) for one in chunk)


def _broken_among(opened: Iterable[Opened]) -> Iterator[tuple[Opened, int]]:
    following: dict[str, int] = {}
    for one in opened:
        expected = following.get(one.stream, 0)
        if one.revision != expected:
            yield one, expected
        following[one.stream] = one.following


def _chunks(path: Path) -> Iterator[list[Opened]]:
    with path.open("rb") as file:
        while length := file.read(LENGTH.size):
            try:
                chunk = _opened.decode(file.read(LENGTH.unpack(length)[0]))
            except (msgspec.MsgspecError, UnicodeError, struct.error):
                raise damaged(path) from None
            yield chunk


def _empty(buckets: Iterable[bytearray], scratch: Path) -> None:
    """Write what is in the buckets behind what their parts have. Files are not kept open: there may be many."""
    for number, bucket in enumerate(buckets):
        if bucket:
            with (scratch / f"{number}.part").open("ab") as file:
                file.write(bucket)
            bucket.clear()


def _parts(scratch: Path) -> Iterator[Path]:
    """Yield the parts, and remove each when it is done."""
    for part in sorted(scratch.glob("*.part")):
        yield part
        part.unlink()
