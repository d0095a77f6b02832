"""A process that examines chunks for another one: reads them from standard input, writes what they are found to be.

Messages are msgpack, each behind its length in four bytes. It ends when its input does.
"""

from __future__ import annotations

import gc
import signal
import sys
from typing import BinaryIO, Final

import msgspec

from services.registry.verify.chunk import LENGTH, Chunk
from services.registry.verify.examine import examine
from services.registry.verify.files import loaded

_decode: Final = msgspec.msgpack.Decoder(Chunk).decode
_encode: Final = msgspec.msgpack.Encoder().encode


def main(source: BinaryIO, sink: BinaryIO) -> None:
    """Examine until there is no more. A file that cannot be read is told, and ends the process."""
    while len(header := source.read(LENGTH.size)) == LENGTH.size:
        try:
            chunk = loaded(_decode(source.read(*LENGTH.unpack(header))))
        except OSError as error:
            sys.exit(f"{error.filename}: {error.strerror}")
        answer = _encode(examine(chunk))
        sink.write(LENGTH.pack(len(answer)) + answer)
        sink.flush()


if __name__ == "__main__":
    gc.disable()  # there are no cycles, and looking for them takes a twentieth of the time
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the group; who started this decides what it means
    main(sys.stdin.buffer, sys.stdout.buffer)
