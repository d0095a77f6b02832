"""Lists that are streamed: read no faster than they are taken, and no more in memory however long they are."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace
from typing import Any

import pytest

from projections.around import Around
from projections.reader import Found
from services.registry.api import forms, streams
from services.registry.api.query import AsOf
from services.registry.api.render import Rendering
from services.registry.api.streams import After, Listing

NAMES = ("id", "name")


AT = AsOf(size=1, now=1, pinned=True, generation=1)


async def nothing(*_: object) -> dict[str, Any]:
    return {}


async def nobody(*_: object) -> Around:
    return Around({}, {}, {}, recorded_at=None, revision=None)


PARTS: Any = SimpleNamespace(read_models=SimpleNamespace(around=nobody), vault=SimpleNamespace(keys=nothing))


class Counted:
    """A list of so many items that are made as they are read; `read` is how many were."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.read = 0

    def listing(self) -> Listing:
        return Listing("counted", NAMES, self._read, self._items)

    async def _read(self, after: After, limit: int) -> list[Found]:
        first = int(after[0]) + 1 if after else 0
        numbers = range(first, min(first + limit, self.length))
        self.read += len(numbers)
        return [Found(str(one), f"{one:09}", (), b'{"id":"%d","name":"a name"}' % one) for one in numbers]

    async def _items(self, rendering: Rendering) -> list[bytes]:
        return await rendering.items()


@pytest.mark.parametrize("form", [forms.NDJSON, forms.CSV])
@pytest.mark.parametrize("length", [0, 1, streams.PAGE - 1, streams.PAGE, streams.PAGE + 1, 3 * streams.PAGE])
async def test_every_item_comes_once_and_in_order(form: str, length: int):
    pieces = [piece async for piece in streams.pieces(PARTS, Counted(length).listing(), AT, form, None)]
    lines = b"".join(pieces).decode().splitlines()
    assert len(lines) == length + (form == forms.CSV)
    ids = [line.split(",")[0] for line in lines[1:]] if form == forms.CSV else [line.split('"')[3] for line in lines]
    assert ids == [str(one) for one in range(length)]


async def test_nothing_is_read_before_what_is_ahead_of_it_was_taken():
    counted = Counted(10 * streams.PAGE)
    taken = streams.pieces(PARTS, counted.listing(), AT, forms.NDJSON, None)
    for pages in range(4):
        assert counted.read <= pages * streams.PAGE
        await anext(taken)
    await taken.aclose()
    assert counted.read <= 4 * streams.PAGE


async def test_a_stream_takes_no_more_memory_the_longer_it_is():
    peaks: list[int] = []
    for pages in (4, 4, 40):  # the first makes what is made once
        tracemalloc.start()
        listing = Counted(pages * streams.PAGE).listing()
        size = 0
        async for piece in streams.pieces(PARTS, listing, AT, forms.NDJSON, None):
            size += len(piece)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert size > pages * streams.PAGE * 40
    assert peaks[2] < peaks[1] * 1.5
